"""DCGAN networks: shapes at every size, the projection formula, initial weights, spectral norm."""

import pytest
import torch
from torch import nn

from genexp.networks.dcgan import NORMS, DCGANDiscriminator, DCGANGenerator

SIZES = (8, 16, 32, 64, 128)


@pytest.mark.parametrize("base_size", [2, 4])
@pytest.mark.parametrize("image_size", SIZES)
def test_generator_and_discriminator_meet_at_every_size(image_size, base_size):
    generator = DCGANGenerator(image_size, 3, latent_size=5, width=2, base_size=base_size)
    discriminator = DCGANDiscriminator(image_size, 3, width=2, base_size=base_size)
    image = generator(torch.randn(4, *generator.latent_shape))
    assert image.shape == (4, 3, image_size, image_size)
    assert image.abs().max() <= 1
    assert discriminator(image).shape == (4,)


def test_the_widths_at_64_pixels_are_those_of_the_paper():
    generator = DCGANGenerator(64, 3, latent_size=100, width=64)
    layers = [generator.seed, *generator.growths, generator.output]
    assert [layer.in_channels for layer in layers] == [100, 512, 256, 128, 64]
    convolutions = [m for m in DCGANDiscriminator(64, 3, width=64, norm="none").modules() if isinstance(m, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512]


@pytest.mark.parametrize("norm", ["batch", "spectral", "none", "layer", "weight"])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_every_parameter_of_both_networks_gets_a_gradient(norm, num_classes):
    torch.manual_seed(0)
    generator = DCGANGenerator(16, 1, 4, width=4, norm=norm if norm in NORMS else "batch", num_classes=num_classes)
    discriminator = DCGANDiscriminator(16, 1, width=4, norm=norm, num_classes=num_classes)
    condition = {} if num_classes is None else {"label": torch.tensor([0, 1, 2, 0])}
    discriminator(generator(torch.randn(4, 4), condition), condition).square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name


def test_the_class_enters_the_score_as_a_projection():
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(16, 1, width=4, norm="none", num_classes=3)
    image, label = torch.randn(5, 1, 16, 16), torch.tensor([0, 1, 2, 1, 0])
    features = discriminator.body(image)
    output, embedding = discriminator.output, discriminator.embedding.weight
    expected = [(output.weight[0] + embedding[y]) @ phi + output.bias[0] for y, phi in zip(label, features)]
    torch.testing.assert_close(discriminator(image, {"label": label}), torch.stack(expected))


@pytest.mark.parametrize("conditioning", ["latent", "norm"])
def test_the_class_changes_the_image(conditioning):
    torch.manual_seed(0)
    generator = DCGANGenerator(8, 1, 4, width=4, num_classes=3, conditioning=conditioning).eval()
    latent = torch.randn(1, 4).expand(3, 4)
    images = generator(latent, {"label": torch.arange(3)})
    assert len({tuple(image.flatten().tolist()) for image in images}) == 3


def test_weights_start_at_a_standard_deviation_of_two_hundredths():
    torch.manual_seed(0)
    generator = DCGANGenerator(32, 3, 64, width=32)
    discriminator = DCGANDiscriminator(32, 3, width=32, norm="batch")
    for layer in [generator.seed, *generator.growths, *[m for m in discriminator.modules() if hasattr(m, "stride")]]:
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    gains = [
        m.weight.detach() for n in (generator, discriminator) for m in n.modules() if isinstance(m, nn.BatchNorm2d)
    ]
    assert float(torch.cat(gains).mean()) == pytest.approx(1, abs=0.01)
    assert float(torch.cat(gains).std()) == pytest.approx(0.02, rel=0.3)


def test_spectral_norm_brings_every_weight_to_singular_value_one():
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(16, 1, width=8, norm="spectral", num_classes=3)
    label = torch.arange(4) % 3
    for _ in range(50):
        discriminator(torch.randn(4, 1, 16, 16), {"label": label})
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) == 4
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=0.02)


def test_singular_vectors_are_saved_and_change_in_training_only():
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(8, 1, width=4, norm="spectral")
    vectors = {name: v.clone() for name, v in discriminator.state_dict().items() if name.endswith(("_u", "_v"))}
    assert len(vectors) == 4  # of one convolution and the output
    image = torch.randn(2, 1, 8, 8)
    discriminator.eval()(image)
    state = discriminator.state_dict()
    assert all(torch.equal(state[name], value) for name, value in vectors.items())
    discriminator.train()(image)
    assert not all(torch.equal(discriminator.state_dict()[name], value) for name, value in vectors.items())


def test_weight_norm_is_a_length_times_a_unit_vector_and_starts_where_the_plain_network_does():
    networks = []
    for norm in ("none", "weight"):
        torch.manual_seed(0)
        networks.append(DCGANDiscriminator(16, 1, width=4, norm=norm, num_classes=3))
    image, label = torch.randn(3, 1, 16, 16), torch.arange(3)
    torch.testing.assert_close(networks[1](image, {"label": label}), networks[0](image, {"label": label}))
    layers = [m for m in networks[1].modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    for layer in layers:
        length, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
        with torch.no_grad():
            length.mul_(0).add_(2.5)
            direction.mul_(7)
        rows = layer.weight.detach().flatten(1)
        torch.testing.assert_close(rows.norm(dim=1), torch.full((len(rows),), 2.5))
        torch.testing.assert_close(
            rows, 2.5 * direction.detach().flatten(1) / direction.detach().flatten(1).norm(dim=1, keepdim=True)
        )


def test_layer_norm_looks_at_one_sample_and_forgets_its_contrast():
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(16, 1, width=4, norm="layer")
    norms = [m for m in discriminator.modules() if isinstance(m, nn.GroupNorm)]
    assert [norm.num_channels for norm in norms] == [8]  # of two convolutions all but the first
    hidden = torch.randn(5, 8, 4, 4)
    with torch.no_grad():
        norms[0].weight.fill_(1)
        out = norms[0](3 * hidden + 2)
    moments = hidden.mean((1, 2, 3), keepdim=True), hidden.var((1, 2, 3), keepdim=True, correction=0).sqrt()
    torch.testing.assert_close(out, (hidden - moments[0]) / moments[1], atol=1e-4, rtol=1e-4)
    image = torch.randn(5, 1, 16, 16)
    torch.testing.assert_close(discriminator(image)[:2], discriminator(image[:2]))


@pytest.mark.parametrize("network", [DCGANGenerator, DCGANDiscriminator])
def test_wrong_arguments_are_refused(network):
    with pytest.raises(ValueError, match="image_size must be a power of two from 8 to 128, got 48"):
        network(48, 1)
    with pytest.raises(ValueError, match="base_size must be 2 or 4, got 3"):
        network(32, 1, base_size=3)
    with pytest.raises(ValueError, match=r"norm must be one of batch, spectral, none.*, got 'group'"):
        network(32, 1, norm="group")


def test_class_norms_need_batch_norm():
    with pytest.raises(ValueError, match="norm must be batch for conditioning=norm, got 'none'"):
        DCGANGenerator(8, 1, norm="none", num_classes=3, conditioning="norm")


def test_labels_are_required_exactly_when_there_are_classes():
    latent, label = torch.randn(2, 64), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"label must be given to \w+, which reads it, got none"):
        DCGANGenerator(8, 1, width=2, num_classes=3)(latent)
    with pytest.raises(ValueError, match=r"label must not be given to \w+, which does not read it"):
        DCGANGenerator(8, 1, width=2)(latent, {"label": label})


@pytest.mark.parametrize("norm", ["instance", "layer"])
def test_norms_of_a_sample_leave_the_others_of_its_batch_alone(norm):
    torch.manual_seed(0)
    network = DCGANDiscriminator(16, 1, width=4, norm=norm)
    image = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(network(image)[:1], network(image[:1]))


def test_a_class_beside_the_image_is_told_at_every_pixel_and_not_projected():
    torch.manual_seed(0)
    network = DCGANDiscriminator(8, 2, width=4, norm="none", num_classes=3, conditioning="concat")
    assert network.embedding is None
    assert network.body[0].in_channels == 4
    network.planes.weight.data = torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 3.0]])
    image = torch.randn(3, 2, 8, 8)
    planes = torch.tensor([[1.0, -1.0], [2.0, 3.0], [0.0, 0.0]])[:, :, None, None].expand(-1, -1, 8, 8)
    expected = network.output(network.body(torch.cat([image, planes], 1))).squeeze(1)
    torch.testing.assert_close(network(image, {"label": torch.tensor([1, 2, 0])}), expected)
