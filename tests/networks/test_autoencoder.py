"""Encoders and decoders have the stated shapes, see every input, and treat samples alone."""

import pytest
import torch

from genexp.networks.autoencoder import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pair(kind, num_classes=None, size=8, channels=1):
    if kind == "conv":
        common = {"channels": channels, "image_size": size, "latent_size": 5, "width": 8, "num_classes": num_classes}
        return ConvEncoder(**common), ConvDecoder(**common)
    common = {"shape": (channels, size, size), "latent_size": 5, "width": 24, "num_classes": num_classes}
    return MLPEncoder(**common), MLPDecoder(**common)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_shapes_at_every_size(kind, size):
    encoder, decoder = pair(kind, size=size, channels=3)
    assert encoder(torch.randn(2, 3, size, size)).shape == (2, 10)
    assert decoder(torch.randn(2, 5)).shape == (2, 3, size, size)


def test_points_pass_through_dense_networks():
    assert MLPEncoder((2,), 3)(torch.randn(4, 2)).shape == (4, 6)
    assert MLPDecoder((2,), 3)(torch.randn(4, 3)).shape == (4, 2)


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_every_pixel_and_every_parameter_matters(kind):
    encoder, decoder = pair(kind, num_classes=3, size=16)
    image, label = torch.randn(6, 1, 16, 16, requires_grad=True), torch.arange(6) % 3
    parameters = encoder(image, {"label": label})
    decoder(parameters[:, :5] + parameters[:, 5:], {"label": label}).square().sum().backward()
    assert image.grad.ne(0).all()
    for module in (encoder, decoder):
        assert all(p.grad is not None and p.grad.ne(0).any() for p in module.parameters())


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_a_sample_does_not_depend_on_its_batch(kind):
    encoder, decoder = pair(kind)
    image, latent = torch.randn(7, 1, 8, 8), torch.randn(7, 5)
    torch.testing.assert_close(encoder(image)[2:3], encoder(image[2:3]), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(decoder(latent)[2:3], decoder(latent[2:3]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_decoders_are_unbounded_and_leave_their_inputs_alone(kind):
    encoder, decoder = pair(kind)
    latent, image = torch.randn(3, 5), torch.randn(3, 1, 8, 8)
    before = latent.clone(), image.clone()
    torch.nn.init.constant_(decoder.head.bias, 50.0)
    assert decoder(latent).min() > 1
    encoder(image)
    assert latent.equal(before[0])
    assert image.equal(before[1])


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_labels_interact_with_the_input(kind):
    encoder, decoder = pair(kind, num_classes=2)
    image, latent = torch.randn(2, 1, 8, 8), torch.randn(2, 5)
    for module, value in ((encoder, image), (decoder, latent)):
        shift = module(value, {"label": torch.ones(2).long()}) - module(value, {"label": torch.zeros(2).long()})
        assert shift.abs().max() > 1e-4
        assert (shift[0] - shift[1]).abs().max() > 1e-5


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_labels_are_neither_forgotten_nor_ignored(kind):
    for module, value in zip(pair(kind, num_classes=2), (torch.randn(2, 1, 8, 8), torch.randn(2, 5))):
        with pytest.raises(ValueError, match=r"label must be given to \w+, which reads it, got none"):
            module(value)
    for module, value in zip(pair(kind), (torch.randn(2, 1, 8, 8), torch.randn(2, 5))):
        with pytest.raises(ValueError, match=r"label must not be given to \w+, which does not read it"):
            module(value, {"label": torch.zeros(2).long()})


@pytest.mark.parametrize("build", [ConvEncoder, ConvDecoder])
def test_convolutional_sizes_are_checked(build):
    with pytest.raises(ValueError, match="image_size must be a power of two from 8 to 64, got 12"):
        build(1, 12, 4)
    with pytest.raises(ValueError, match="width must be a positive multiple of 8, got 12"):
        build(1, 8, 4, width=12)


@pytest.mark.parametrize("build", [MLPEncoder, MLPDecoder])
def test_dense_sizes_are_checked(build):
    with pytest.raises(ValueError, match="latent_size must be at least 1, got 0"):
        build((2,), 0)
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        build((2,), 3, depth=0)
