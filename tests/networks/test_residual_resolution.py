"""SRResNet, EDSR and RRDB: independent forms, sizes, reach and refusals; the discriminator of photographs."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genexp.conditioning.pictures import Picture
from genexp.networks.residual_resolution import ResidualResolution
from genexp.networks.rrdb import Rrdb
from genexp.networks.vgg_critic import VggDiscriminator


def told(size, channels=3):
    return {"source": Picture((channels, size, size))}


def pictures(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def rrdb_by_the_books(state, picture, scale, depth):
    """ESRGAN's generator from its state dict alone."""

    def conv(name, x):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def dense(name, x):
        maps = x
        for i in range(1, 5):
            maps = torch.cat([maps, F.leaky_relu(conv(f"{name}.conv{i}", maps), 0.2)], 1)
        return conv(f"{name}.conv5", maps) * 0.2 + x

    x = (picture + 1) / 2
    fold = 4 // scale
    if fold > 1:
        b, c, h, w = x.shape
        squares = x.reshape(b, c, h // fold, fold, w // fold, fold)
        x = squares.permute(0, 1, 3, 5, 2, 4).reshape(b, c * fold**2, h // fold, w // fold)
    first = conv("conv_first", x)
    x = first
    for i in range(depth):
        inner = x
        for j in (1, 2, 3):
            inner = dense(f"body.{i}.rdb{j}", inner)
        x = inner * 0.2 + x
    x = first + conv("conv_body", x)
    for name in ("conv_up1", "conv_up2"):
        x = F.leaky_relu(conv(name, x.repeat_interleave(2, 2).repeat_interleave(2, 3)), 0.2)
    return conv("conv_last", F.leaky_relu(conv("conv_hr", x), 0.2)) * 2 - 1


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_rrdb_is_the_published_network(scale):
    torch.manual_seed(0)
    network = Rrdb(8 * scale, 3, told(8), depth=2, width=6, growth=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    picture = pictures(2, 3, 8, 12)
    found, expected = network.restored(picture), rrdb_by_the_books(network.state_dict(), picture, scale, 2)
    assert found.shape == (2, 3, 8 * scale, 12 * scale)
    assert torch.allclose(found, expected, atol=1e-5)


def test_rrdb_of_the_papers_size_has_the_published_parameters():
    with torch.device("meta"):
        network = Rrdb(128, 3, told(32))
    state = network.state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 16_697_987
    assert tuple(state["body.22.rdb3.conv4.weight"].shape) == (32, 160, 3, 3)
    assert {name.split(".")[0] for name in state} == {
        *("conv_first", "body", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
    }


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_edsr_is_its_formula(scale):
    torch.manual_seed(1)
    network = ResidualResolution(6 * scale, 3, told(6), depth=2, width=5, residual_scale=0.5)
    state, picture = network.state_dict(), pictures(2, 3, 6, 7)

    def conv(name, x):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    first = conv("first.0", picture)
    x = first
    for i in range(2):
        x = x + 0.5 * conv(f"blocks.{i}.body.3", conv(f"blocks.{i}.body.0", x).clamp(min=0))
    x = first + conv("closing.0", x)
    for i, step in enumerate({1: [], 3: [3]}.get(scale, [2] * (scale.bit_length() - 1))):
        wide = conv(f"enlarging.{2 * i}", x)
        b, _, h, w = wide.shape
        x = wide.reshape(b, -1, step, step, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, -1, step * h, step * w)
    assert torch.allclose(network.restored(picture), conv("last", x), atol=1e-5)


def test_srresnet_of_the_papers_size_has_its_parameters():
    options = {"batch_norm": True, "activation": "prelu", "ends": 9, "activated": True}
    network = ResidualResolution(96, 3, told(24), **options)
    # 9x9 ends, 16 blocks of two 3x3 with batch norm and a slope, the closing one, two doublings, slopes
    ends = 3 * 64 * 81 + 64 + 1 + 64 * 3 * 81 + 3
    block = 2 * (64 * 64 * 9 + 64 + 128) + 1
    rest = 64 * 64 * 9 + 64 + 128 + 2 * (64 * 256 * 9 + 256 + 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == ends + 16 * block + rest


NETWORKS = {
    "edsr x3": lambda: ResidualResolution(18, 1, told(6, 1), depth=2, width=4),
    "srresnet x4": lambda: ResidualResolution(24, 1, told(6, 1), depth=1, width=4, ends=9, activated=True),
    "rrdb x4": lambda: Rrdb(32, 1, told(8, 1), depth=1, width=3, growth=2),
    "rrdb x2": lambda: Rrdb(16, 1, told(8, 1), depth=1, width=3, growth=2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_beyond_its_reach_changes_a_place(name):
    torch.manual_seed(2)
    network = NETWORKS[name]().double()
    size = 2 * (network.reach + 4) + 2
    picture = pictures(1, 1, 4, size).double().requires_grad_()
    image = network.restored(picture)
    middle = image.shape[3] // 2
    (slope,) = torch.autograd.grad(image[..., middle].sum(), picture)
    columns = slope.abs().sum((0, 1, 2)).nonzero().flatten()
    place = middle // network.scale
    farthest = max(place - columns.min().item(), columns.max().item() - place)
    assert farthest <= network.reach
    assert farthest >= network.reach - 3  # no more than it needs, up to rounding


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rrdb(24, 3, told(8)), "beside must hold a picture smaller by one of 1, 2, 4, got 3"),
        (lambda: Rrdb(32, 3, told(8), depth=0), "depth, width and growth must be at least 1, got 0, 64 and 32"),
        (lambda: ResidualResolution(40, 3, told(8)), "smaller by one of 1, 2, 3, 4, 8, got 5"),
        (lambda: ResidualResolution(16, 3, told(8), width=0), "depth and width must be at least 1, got 16 and 0"),
        (lambda: ResidualResolution(16, 3, told(8), ends=4), "ends must be odd, got 4"),
        (lambda: ResidualResolution(16, 3, told(8), residual_scale=0.0), "residual_scale must be above 0, got 0.0"),
        (lambda: ResidualResolution(16, 3, told(8), activation="tanh"), "activation must be one of relu, prelu"),
        (lambda: VggDiscriminator(30, 3, halvings=2), "halvings must be at least 1 and such that 30 can be halved"),
        (lambda: VggDiscriminator(32, 3, norm="group"), "norm must be one of none, spectral"),
    ],
)
def test_wrong_options_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_the_discriminator_of_srgan_has_its_layers():
    network = VggDiscriminator(96, 3)
    shapes = [
        (layer.in_channels, layer.out_channels, layer.stride[0])
        for layer in network.body
        if isinstance(layer, nn.Conv2d)
    ]
    assert shapes[:4] == [(3, 64, 1), (64, 64, 2), (64, 128, 1), (128, 128, 2)]
    assert shapes[4:] == [(128, 256, 1), (256, 256, 2), (256, 512, 1), (512, 512, 2)]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.body) == 7
    hidden = next(layer for layer in network.body if isinstance(layer, nn.Linear))
    assert (hidden.in_features, hidden.out_features) == (512 * 6 * 6, 1024)
    judged = VggDiscriminator(16, 1, width=4, halvings=2, hidden=8).judged(pictures(3, 1, 16, 16))
    assert (judged.score.shape, judged.features.shape) == ((3,), (3, 8))
