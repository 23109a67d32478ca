"""StyleGAN2: modulated convolutions against a loop, equalised rates, filters, and all that is random in the latent."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genexp.adversarial.frozen_buffers import coupling, frozen_statistics
from genexp.networks.batch_sight import MinibatchStd
from genexp.networks.equalised import equalised, leaky
from genexp.networks.modulated import ModulatedConvolution, StyledLayer
from genexp.networks.resampling import Filter
from genexp.networks.style_mapping import MEAN_HALF_LIFE, StyleMapping
from genexp.networks.styled import Styled
from genexp.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def generator(**options):
    return StyleGAN2Generator(8, 1, **{"latent_size": 3, "style_size": 4, "width": 4, "depth": 2} | options)


@pytest.mark.parametrize(("demodulate", "double"), [(True, False), (False, False), (True, True)])
def test_a_modulated_convolution_is_one_with_own_weights_for_every_sample(demodulate, double):
    layer = ModulatedConvolution(3, 5, 3, style=2, demodulate=demodulate, double=double).double()
    hidden, style = torch.randn(4, 3, 6, 6).double(), torch.randn(4, 2).double()
    images = layer(hidden, style)
    for i in range(4):
        weight = layer.weight * layer.style(style[i : i + 1]).view(1, 3, 1, 1)
        if demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if double:
            apart = torch.zeros(1, 3, 13, 13).double()  # every pixel, a zero between each two, and a border
            apart[:, :, 1:12:2, 1:12:2] = hidden[i]
            blurred = F.conv2d(F.pad(apart, (1, 1, 1, 1)), weight.flip(2, 3))
            expected = layer.filter.blur(blurred, padding=1, gain=4.0)
        else:
            expected = F.conv2d(hidden[i : i + 1], weight, padding=1)
        torch.testing.assert_close(images[i : i + 1], expected)


def test_demodulated_outputs_have_unit_variance_whatever_the_style():
    layer = ModulatedConvolution(64, 64, 3, style=8)
    hidden = layer(torch.randn(16, 64, 8, 8), 30 * torch.randn(16, 8))[:, :, 1:-1, 1:-1].detach()
    assert float(hidden.var()) == pytest.approx(1, rel=0.05)
    assert ((hidden.var((1, 2, 3)) - 1).abs() < 0.3).all()


@pytest.mark.parametrize("rate", [1.0, 0.01])
@pytest.mark.parametrize("build", [lambda: nn.Linear(30, 50), lambda: nn.Conv2d(5, 7, 3), lambda: nn.Embedding(9, 25)])
def test_an_equalised_weight_begins_and_moves_by_its_fan_in(build, rate):
    layer = equalised(build().double(), rate, bias=2.0)
    stored = layer.parametrizations.weight.original
    fan_in = stored[0].numel()
    assert float(stored.detach().std()) == pytest.approx(1 / rate, rel=0.25)
    torch.testing.assert_close(layer.weight, stored * rate / math.sqrt(fan_in))
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Adam(layer.parameters(), 1e-3, eps=0)
    layer.weight.sum().backward()
    optimizer.step()  # the first step of Adam moves every number by the rate
    torch.testing.assert_close(
        before - layer.weight, torch.full_like(before, 1e-3 * rate / math.sqrt(fan_in)), rtol=1e-6, atol=0
    )
    if not isinstance(layer, nn.Embedding):
        torch.testing.assert_close(layer.bias, torch.full_like(layer.bias, 2.0))


def test_the_activation_keeps_the_mean_square_of_normal_values():
    assert float(leaky(torch.randn(100_000)).square().mean()) == pytest.approx(1 + 0.2**2, rel=0.02)


def test_the_filter_keeps_constants_inside_and_doubles_by_bilinear_interpolation():
    filtered, flat = Filter(), torch.full((1, 2, 8, 8), 3.0)
    for image in (filtered.double(flat), filtered.halve(flat), filtered.blur(flat, padding=2)):
        torch.testing.assert_close(image[:, :, 2:-2, 2:-2], torch.full_like(image[:, :, 2:-2, 2:-2], 3.0))
    assert [filtered.double(flat).shape[2], filtered.halve(flat).shape[2], filtered.blur(flat, 2).shape[2]] == [
        16,
        4,
        9,
    ]
    image = torch.randn(2, 3, 4, 4)
    by_torch = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(filtered.double(image)[:, :, 1:-1, 1:-1], by_torch[:, :, 1:-1, 1:-1])
    # Halving is the transpose of doubling, up to the number of pixels.
    large = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close((filtered.double(image) * large).sum() / 4, (image * filtered.halve(large)).sum())


def test_noise_counts_from_when_its_strength_is_learned():
    layer = StyledLayer(2, 3, style=4)
    hidden, style, noise = torch.randn(2, 2, 4, 4), torch.randn(2, 4), torch.randn(2, 1, 4, 4)
    torch.testing.assert_close(layer(hidden, style, noise), layer(hidden, style, None))
    with torch.no_grad():
        layer.strength.fill_(0.5)
        layer.bias.fill_(100.0)  # in the linear part of the activation
    change = layer(hidden, style, noise) - layer(hidden, style, None)
    torch.testing.assert_close(change, (2**0.5 * 0.5 * noise).expand_as(change), atol=1e-4, rtol=0)


def test_an_image_is_a_function_of_its_latent_alone():
    network = generator(num_classes=3)
    with torch.no_grad():
        for layer in [network.first, *network.doublings, *network.layers]:
            layer.strength.fill_(0.3)
    latent, label = torch.randn(6, *network.latent_shape), torch.arange(6) % 3
    for mode in (True, False):
        network.train(mode)
        images = network(latent, {"label": label})
        torch.testing.assert_close(network(latent[4:5], {"label": label[4:5]}), images[4:5])
        torch.testing.assert_close(network(latent, {"label": label}), images)
    changed = latent.clone()
    changed[:, -1] += 1  # the last noise of the last layer
    assert not torch.equal(network(changed, {"label": label}), images)


@pytest.mark.parametrize(
    ("mixing", "noise", "size"),
    [(0.9, True, 3 + 3 + 1 + 16 + 2 * 64), (0.0, True, 3 + 144), (0.5, False, 7), (0.0, False, 3)],
)
def test_the_latent_holds_all_that_is_random(mixing, noise, size):
    network = generator(mixing=mixing, noise=noise)
    assert network.latent_shape == (size,)
    assert isinstance(network, Styled)
    latent = torch.randn(2, size)
    assert network(latent).shape == (2, 1, 8, 8)
    assert (network.synthesise(network.styles(latent)) == network(latent)).all()  # noise has no strength yet


def test_a_share_of_training_images_has_a_second_style_from_a_layer_on():
    network = generator(mixing=0.75, noise=False)
    latent = torch.randn(4000, 7)
    styles = network.styles(latent)
    first, second = network.mapping(latent[:, :3]), network.mapping(latent[:, 3:6])
    from_first = torch.isclose(styles, first[:, None], atol=1e-6).all(2)
    assert (from_first | torch.isclose(styles, second[:, None], atol=1e-6).all(2)).all()
    assert from_first[:, 0].all()
    assert (from_first.int().diff(dim=1) <= 0).all()  # never back to the first style
    counts = from_first.sum(1).bincount(minlength=5) / 4000
    torch.testing.assert_close(counts, torch.tensor([0, 0.25, 0.25, 0.25, 0.25]), atol=0.03, rtol=0)
    assert torch.equal(network.eval().styles(latent), first[:, None].expand(-1, 4, -1))


def test_the_mean_style_follows_training_images_one_by_one_and_nothing_else():
    whole, parts = generator(), generator()
    parts.load_state_dict(whole.state_dict())
    latent = torch.randn(8, *whole.latent_shape)
    expected = torch.zeros(4)
    for style in whole.mapping(latent[:, :3]).detach():
        expected = torch.lerp(style, expected, 0.5 ** (1 / MEAN_HALF_LIFE))
    with frozen_statistics(whole):
        whole(latent)
    whole.eval()(latent)
    assert not whole.mean_style.any()
    whole.train()(latent)
    torch.testing.assert_close(whole.mean_style, expected)
    for rows in (slice(3), slice(3, 8)):
        parts(latent[rows])
    torch.testing.assert_close(parts.mean_style, expected)


def test_styles_and_latents_are_of_unit_size_and_classes_enter_both_networks():
    mapping = StyleMapping(8, 64, depth=3, num_classes=2)
    latent, label = torch.randn(5, 8), torch.tensor([0, 1, 0, 1, 0])
    told, other = {"label": label}, {"label": 1 - label}
    torch.testing.assert_close(mapping(7 * latent, told), mapping(latent, told))
    assert not torch.allclose(mapping(latent, told), mapping(latent, other))
    assert float(mapping(latent, told).detach().square().mean()) == pytest.approx(1, rel=0.4)
    discriminator = StyleGAN2Discriminator(8, 1, width=4, num_classes=2)
    image = torch.randn(5, 1, 8, 8)
    scores = [discriminator(image, each) for each in (told, other)]
    assert not torch.allclose(*scores)


@pytest.mark.parametrize("residual", [True, False])
def test_the_discriminator_judges_by_groups_only_where_it_is_told_to(residual):
    image = torch.randn(6, 3, 16, 16)
    alone = StyleGAN2Discriminator(16, 3, width=4, residual=residual)
    torch.testing.assert_close(alone(image)[2:3], alone(image[2:3]))
    grouped = StyleGAN2Discriminator(16, 3, width=4, residual=residual, diversity=MinibatchStd(2))
    assert (coupling(alone), coupling(grouped)) == (None, "groups")
    torch.testing.assert_close(grouped(image)[2:4], grouped(image[2:4]))
    assert not torch.allclose(grouped(image)[2:3], grouped(image[[2, 5]])[:1])


def test_sizes_are_those_of_a_closed_form():
    network, count = generator(num_classes=5), lambda module: sum(p.numel() for p in module.parameters())
    style, wide, narrow = 4, 8, 4  # channels at 4 and at 8 pixels

    def layer(inputs, outputs):
        return 9 * inputs * outputs + (style + 1) * inputs + outputs + 1

    def to_image(inputs):
        return inputs + (style + 1) * inputs + 1

    mapping = 5 * 3 + (6 + 1) * style + (style + 1) * style
    images = to_image(wide) + to_image(narrow)
    assert (
        count(network) == mapping + 16 * wide + layer(wide, wide) + layer(wide, narrow) + layer(narrow, narrow) + images
    )
    discriminator = StyleGAN2Discriminator(8, 1, width=4, num_classes=5, diversity=MinibatchStd())
    block = 9 * 4 * 4 + 4 + 9 * 4 * 8 + 8 + 4 * 8
    assert count(discriminator) == 2 * 4 + block + 9 * 9 * 8 + 8 + 16 * 8 * 8 + 8 + 8 + 1 + 5 * 8


def test_wrong_arguments_are_refused():
    for network in (StyleGAN2Generator, StyleGAN2Discriminator):
        with pytest.raises(ValueError, match="image_size must be a power of two from 8 to 128, got 28"):
            network(28, 1)
        with pytest.raises(ValueError, match="widest must be at least 1, got 0"):
            network(32, 1, widest=0)
    with pytest.raises(ValueError, match=r"mixing must lie in \[0, 1\], got 1.5"):
        StyleGAN2Generator(32, 1, mixing=1.5)
    with pytest.raises(ValueError, match="depth must be at least 1 layer of the mapping, got 0"):
        StyleGAN2Generator(32, 1, depth=0)
