"""The UNet of Dhariwal and Nichol: its size, its parity with diffusers, and the options that make it."""

import copy

import pytest
import torch
from diffusers import UNet2DModel
from hydra.utils import instantiate
from tests.networks.test_unet import randomised
from torch import nn

from genexp.config.compose import compose
from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import ResidualBlock
from genexp.networks.unet import UNet
from genexp.networks.unet_weights import diffusers_config, from_diffusers, to_diffusers

OPTIONS = {"head_channels": 16, "scale_shift": True, "residual_resize": True}


def small(**changes):
    torch.manual_seed(0)
    sizes = {"channels": 1, "image_size": 8, "width": 32, "multipliers": (1, 2), "blocks": 1, "attention": (4,)}
    return UNet(**{**sizes, "groups": 8, "num_classes": 3, **OPTIONS, **changes})


@pytest.fixture(scope="module")
def network():
    return randomised(small())


def test_the_network_for_64_pixels_has_heads_of_64_channels_and_the_parameters_of_its_twin():
    node = compose("train", ["model=diffusion", "model/network=unet_adm_64", "data=cifar10"]).model.network
    with torch.device("meta"):
        network = instantiate(node, image_size=64, num_classes=1000, outputs=2)
        twin = UNet2DModel(**diffusers_config(network))
    count, expected = (sum(each.numel() for each in model.parameters()) for model in (network, twin))
    assert count == expected == 295_905_222
    heads = {
        layer.project_out.in_features // layer.heads for layer in network.modules() if type(layer) is PixelAttention
    }
    assert heads == {64}


@pytest.mark.parametrize(
    "options",
    [
        {"multipliers": (1, 2, 2), "attention": (8, 2)},
        {"scale_shift": False},
        {"residual_resize": False, "outputs": 2},
        {"head_channels": None, "heads": 1},
    ],
)
def test_it_has_a_twin_in_diffusers_in_float64(options):
    ours = randomised(small(**options)).double()
    config, weights = to_diffusers(ours)
    theirs = UNet2DModel(**config).double().eval()
    theirs.load_state_dict(weights)
    x, t, label = torch.randn(3, 1, 8, 8).double(), torch.tensor([0, 7, 999]), torch.tensor([0, 1, 3])
    with torch.no_grad():
        torch.testing.assert_close(ours(x, t, {"label": label}), theirs(x, t, label).sample, rtol=0, atol=1e-10)
    back = from_diffusers(theirs.state_dict(), theirs.config, ours)
    assert all(torch.equal(back[name], value) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("changes", [{"scale_shift": False}, {"residual_resize": False}])
def test_weights_of_another_kind_of_block_are_refused(network, changes):
    config, weights = to_diffusers(small(**changes))
    with pytest.raises(ValueError, match="computes what the UNet computes, got"):
        from_diffusers(weights, config, network)


def test_a_block_scales_and_shifts_by_the_embedding():
    torch.manual_seed(0)
    block = randomised(ResidualBlock(8, 4, features=3, scale_shift=True, resize=nn.AvgPool2d(2))).double()
    x, embedding = torch.randn(2, 8, 4, 4).double(), torch.randn(2, 3).double()
    halved = nn.functional.silu(block.norm1(x)).unflatten(3, (2, 2)).unflatten(2, (2, 2)).mean((3, 5))
    told = nn.functional.linear(nn.functional.silu(embedding), block.embedding.weight, block.embedding.bias)
    scale, shift = told[:, :4, None, None], told[:, 4:, None, None]
    h = block.norm2(block.conv1(halved)) * (1 + scale) + shift
    shortcut = block.shortcut(x.unflatten(3, (2, 2)).unflatten(2, (2, 2)).mean((3, 5)))
    torch.testing.assert_close(block(x, embedding), shortcut + block.conv2(nn.functional.silu(h)))


def test_a_fresh_network_answers_almost_zero_and_its_resizing_keeps_means():
    network, x = small(), torch.randn(2, 32, 8, 8)
    condition = {"label": torch.tensor([0, 3])}
    assert network(torch.randn(2, 1, 8, 8), torch.tensor([1, 500]), condition).abs().max() < 1e-3
    halved = network.down[0].resize(x, torch.randn(2, 128))
    torch.testing.assert_close(halved.mean((2, 3)), x.mean((2, 3)), rtol=1e-4, atol=1e-4)


def test_every_parameter_gets_a_gradient_and_what_is_told_matters(network):
    x, t, label = torch.randn(4, 1, 8, 8), torch.arange(4), torch.tensor([0, 1, 2, 3])
    network.zero_grad()
    here = network(x, t, {"label": label})
    here.square().sum().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    with torch.no_grad():
        assert (network(x, t + 100, {"label": label}) - here).abs().amax((1, 2, 3)).min() > 1e-3
        assert (network(x, t, {"label": label.roll(1)}) - here).abs().amax((1, 2, 3)).min() > 1e-3


def test_neither_rows_nor_memory_order_nor_capture_change_the_output(network):
    x, t, label = torch.randn(3, 1, 8, 8), torch.tensor([3, 40, 900]), torch.tensor([0, 3, 1])
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    captured = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        expected = network(x, t, {"label": label})
        alone = torch.cat([network(x[i : i + 1], t[i : i + 1], {"label": label[i : i + 1]}) for i in range(3)])
        torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-5)
        got = last(x.to(memory_format=torch.channels_last), t, {"label": label})
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(captured(x, t, {"label": label}), expected)


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="head_channels must divide the 64 channels, got 24"):
        small(head_channels=24)
    with pytest.raises(ValueError, match="head_channels must divide the 64 channels, got 0"):
        small(head_channels=0)
    with pytest.raises(ValueError, match="heads must be 1 where head_channels gives their number, got 2"):
        small(heads=2)
