"""Fully connected networks for points and tiny images."""

import pytest
import torch
from torch import nn

from genexp.networks.mlp import MLPDiscriminator, MLPGenerator


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 4, 4)])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_samples_have_their_shape_and_scores_are_per_sample(shape, num_classes):
    generator = MLPGenerator(shape, latent_size=5, width=8, num_classes=num_classes)
    discriminator = MLPDiscriminator(shape, width=8, num_classes=num_classes)
    condition = {} if num_classes is None else {"label": torch.tensor([0, 1, 2, 0])}
    sample = generator(torch.randn(4, *generator.latent_shape), condition)
    assert sample.shape == (4, *shape)
    assert discriminator(sample, condition).shape == (4,)


def test_images_are_bounded_and_points_are_not():
    latent = 1e3 * torch.randn(16, 5)
    torch.manual_seed(0)
    assert MLPGenerator((1, 2, 2), latent_size=5)(latent).abs().max() <= 1
    assert MLPGenerator((2,), latent_size=5)(latent).abs().max() > 1


def test_depth_counts_hidden_layers():
    linear = [m for m in MLPDiscriminator((2,), width=7, depth=3).modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(2, 7), (7, 7), (7, 7), (7, 1)]


def test_the_class_enters_the_score_as_a_projection():
    torch.manual_seed(0)
    discriminator = MLPDiscriminator((2,), width=8, num_classes=3)
    point, label = torch.randn(5, 2), torch.tensor([0, 1, 2, 1, 0])
    features = discriminator.body(point)
    weight = discriminator.output.weight[0] + discriminator.embedding.weight[label]
    expected = (weight * features).sum(1) + discriminator.output.bias
    torch.testing.assert_close(discriminator(point, {"label": label}), expected)


def test_a_spectrally_normalised_relu_network_is_one_lipschitz():
    torch.manual_seed(0)
    discriminator = MLPDiscriminator((2,), width=32, depth=3, norm="spectral")
    for _ in range(50):
        discriminator(torch.randn(4, 2))
    point = (3 * torch.randn(256, 2)).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator.eval()(point).sum(), point)
    assert float(slope.norm(dim=1).max()) <= 1.01


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="depth must be at least 1 hidden layer, got 0"):
        MLPGenerator((2,), depth=0)
    with pytest.raises(ValueError, match="activation must be one of relu, leaky_relu, tanh, got 'swish'"):
        MLPGenerator((2,), activation="swish")
    with pytest.raises(ValueError, match="norm must be one of none, spectral, got 'batch'"):
        MLPDiscriminator((2,), norm="batch")
    with pytest.raises(ValueError, match=r"label must be given to \w+, which reads it, got none"):
        MLPDiscriminator((2,), num_classes=3)(torch.zeros(1, 2))


def test_orthogonal_weights_have_their_gain_and_no_bias():
    for network in (MLPGenerator((2,), 5, 8, orthogonal=0.8), MLPDiscriminator((2,), 8, orthogonal=0.8)):
        for layer in (module for module in network.modules() if isinstance(module, nn.Linear)):
            torch.testing.assert_close(torch.linalg.svdvals(layer.weight), torch.full((min(layer.weight.shape),), 0.8))
            assert not layer.bias.any()
    with pytest.raises(ValueError, match="orthogonal must be a gain above 0, or null, got 0"):
        MLPGenerator((2,), orthogonal=0)


def test_a_scaled_input_is_what_the_first_layer_sees():
    torch.manual_seed(0)
    plain = MLPDiscriminator((2,), width=8)
    scaled = MLPDiscriminator((2,), width=8, input_scale=0.25)
    scaled.load_state_dict(plain.state_dict())
    points = torch.randn(5, 2)
    torch.testing.assert_close(scaled(points), plain(0.25 * points))
