"""The network of one style: sizes, what it cannot see, and parity with the layers written out."""

import pytest
import torch
from torch.nn import functional

from genexp.networks.johnson import LEAST, JohnsonStylizer


def network(**options):
    torch.manual_seed(0)
    return JohnsonStylizer(**({"width": 4, "blocks": 2} | options)).double()


def pictures(height, width, seed=0):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("size", [(LEAST, LEAST), (5, 6), (17, 33), (32, 18), (19, 23), (21, 22), (40, 24)])
def test_every_size_comes_back_as_it_was(size):
    assert network()(pictures(*size)).shape == (2, 3, *size)


@torch.no_grad()
def test_pixels_are_in_range_by_tanh_and_free_without():
    bounded, free = (network(output=output)(pictures(20, 20)) for output in ("tanh", "linear"))
    torch.testing.assert_close(bounded, free.tanh())


@torch.no_grad()
def test_contrast_and_brightness_of_a_picture_change_nothing():
    model, image = network(), pictures(24, 20)
    shifted = 3 * image + torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1)
    torch.testing.assert_close(model(shifted), model(image), rtol=1e-2, atol=1e-3)  # but for eps in instance norm
    assert (model(pictures(24, 20, seed=1)) - model(image)).abs().mean() > 0.05


@torch.no_grad()
def test_pictures_of_a_batch_do_not_know_each_other():
    model, images = network(), pictures(24, 20)
    torch.testing.assert_close(model(images[:1]), model(images)[:1])


@torch.no_grad()
def test_it_computes_what_its_layers_say_written_out():
    model, image = network(), pictures(22, 19)
    state = model.state_dict()

    def convolved(maps, name, kernel, stride=1):
        padded = functional.pad(maps, [kernel // 2] * 4, mode="reflect")
        return functional.conv2d(padded, state[f"{name}.weight"], state[f"{name}.bias"], stride)

    def layer(maps, name, kernel, stride=1):
        maps = convolved(maps, f"{name}.0", kernel, stride)
        variance, mean = torch.var_mean(maps, (2, 3), correction=0, keepdim=True)
        scale, shift = (state[f"{name}.1.{kind}"].view(1, -1, 1, 1) for kind in ("weight", "bias"))
        return (maps - mean) / (variance + 1e-5).sqrt() * scale + shift

    maps = layer(image, "first", 9).relu()
    maps = layer(maps, "halvings.0", 3, 2).relu()  # 11 x 10
    maps = layer(maps, "halvings.1", 3, 2).relu()  # 6 x 5
    for block in range(2):
        inner = layer(layer(maps, f"blocks.{block}.body.0", 3).relu(), f"blocks.{block}.body.2", 3)
        maps = maps + inner
    maps = layer(maps.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., _nearest(6, 11), :][..., _nearest(5, 10)],
                 "doublings.0", 3).relu()  # fmt: skip
    maps = layer(maps[..., _nearest(11, 22, 1), :][..., _nearest(10, 19, 1)], "doublings.1", 3).relu()
    torch.testing.assert_close(model(image), convolved(maps, "last", 9).tanh())


def _nearest(before, after, times=2):
    """Which rows of `times * before` rows, each repeated so often, the nearest of `before` are for `after` rows."""
    return [times * int(row * before / after) for row in range(after)]


def test_the_papers_network_has_the_papers_parameters():
    convolutions = [(3, 32, 9), (32, 64, 3), (64, 128, 3), *[(128, 128, 3)] * 10, (128, 64, 3), (64, 32, 3), (32, 3, 9)]
    weights = sum(before * after * kernel**2 + after for before, after, kernel in convolutions)
    norms = 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32)
    assert sum(p.numel() for p in JohnsonStylizer().parameters()) == weights + norms


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"image must have at least 5 pixels a side, got \(4, 40\)"):
        network()(pictures(4, 40))
    with pytest.raises(ValueError, match="output must be tanh or linear, got 'sigmoid'"):
        network(output="sigmoid")
    with pytest.raises(ValueError, match="width must be at least 1 and blocks at least 0, got 0 and 2"):
        network(width=0)
