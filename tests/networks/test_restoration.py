"""Networks of one picture: what they compute, how far they look, and what they refuse."""

import pytest
import torch
from torch.nn import functional as F

from genexp.conditioning.bicubic import resized
from genexp.conditioning.pictures import Picture
from genexp.networks.restoration import Espcn, ResidualCnn, Srcnn


def of(side, channels=1):
    return {"source": Picture((channels, side, side))}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sub_pixels_are_a_transposed_convolution_of_that_stride(scale):
    """Its kernel at row scale i + p is channel p's kernel at i, turned by 180 degrees (Shi et al., figure 1)."""
    torch.manual_seed(0)
    network = Espcn(8 * scale, 1, of(8))
    hidden = torch.randn(2, 32, 10, 11)
    last = network.layers[-1]
    made = F.pixel_shuffle(last(hidden), scale)
    kernel = torch.zeros(32, 1, 3 * scale, 3 * scale)
    for row in range(scale):
        for column in range(scale):
            turned = last.weight[row * scale + column].flip(1, 2)
            kernel[:, 0, row::scale, column::scale] = turned
    whole = F.conv_transpose2d(hidden, kernel, stride=scale)
    inside = whole[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale]
    bias = F.pixel_shuffle(last.bias.view(1, -1, 1, 1).expand(-1, -1, 8, 9), scale)
    torch.testing.assert_close(made, inside + bias, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [2, 3])
def test_srcnn_whose_layers_hand_on_the_middle_is_bicubic(scale):
    network = Srcnn(12 * scale, 1, of(12))
    picture = torch.rand(1, 1, 9, 14)
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[0, 0, layer.weight.shape[2] // 2, layer.weight.shape[3] // 2] = 1
        expected = resized(picture, scale).clamp(min=0)  # rectified on the way
        torch.testing.assert_close(network(torch.zeros(1, 1), {"source": picture}), expected)
        added = Srcnn(12 * scale, 1, of(12), residual=True)
        for layer in added.layers:
            layer.weight.zero_()
            layer.bias.zero_()
        torch.testing.assert_close(added.restored(picture), resized(picture, scale))


def test_the_parameters_are_the_papers():
    count = {name: sum(p.numel() for p in made.parameters()) for name, made in NETWORKS.items()}
    assert count["srcnn"] == 81 * 64 + 64 + 64 * 32 + 32 + 25 * 32 + 1
    assert count["espcn"] == 25 * 64 + 64 + 9 * 64 * 32 + 32 + 9 * 32 * 9 + 9


NETWORKS = {
    "srcnn": Srcnn(24, 1, of(12)),
    "srcnn_955": Srcnn(36, 1, of(12), kernels=(9, 5, 5)),
    "espcn": Espcn(36, 1, of(12)),
    "residual_cnn": ResidualCnn(12, 1, of(12), depth=4, width=8).eval(),
}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_they_look_as_far_as_they_say_and_no_farther(name):
    torch.manual_seed(1)
    network, size = NETWORKS[name], 31
    picture = torch.rand(1, 1, size, size)
    before = network.restored(picture)
    assert before.shape[-1] == size * network.scale
    changed = picture.clone()
    changed[..., 15, 15] += 5
    seen = (network.restored(changed) != before)[0, 0].any(0).nonzero().flatten()
    first, last = int(seen[0]) // network.scale, int(seen[-1]) // network.scale
    assert 15 - network.reach <= first <= last <= 15 + network.reach
    assert last - first >= network.reach  # a bound of twice what is so would waste time in tiles


def test_a_denoiser_that_adds_nothing_shows_its_picture():
    network = ResidualCnn(8, 3, of(8), depth=3, width=4)
    with torch.no_grad():
        network.layers[-1].weight.zero_()
        network.layers[-1].bias.zero_()
    grey = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(network.restored(grey), grey.expand(-1, 3, -1, -1))


def test_what_does_not_fit_is_refused():
    for make, told in (
        (lambda: Espcn(8, 1, {}), "beside must name the one picture that an image is made of, got 0"),
        (lambda: Espcn(10, 1, of(4)), "a square picture whose side divides that of the images, 10, got 4 x 4"),
        (lambda: Srcnn(8, 3, of(4)), "channels must be those of the picture, 1, got 3"),
        (lambda: Srcnn(8, 1, of(4), kernels=(9, 2, 5)), r"kernels must be odd and one more than widths=\[64, 32\]"),
        (lambda: ResidualCnn(8, 1, of(4)), "a picture of the size of the images, got one 2 times smaller"),
        (lambda: ResidualCnn(8, 1, of(8), depth=1), "depth must be at least 2 and width at least 1, got 1 and 64"),
    ):
        with pytest.raises(ValueError, match=told):
            make()
    with pytest.raises(ValueError, match="source must be given to Espcn, which reads it, got none"):
        NETWORKS["espcn"](torch.zeros(1, 1), {})
