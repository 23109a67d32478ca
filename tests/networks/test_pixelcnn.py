"""Masks: what an output may see, shown by gradients."""

import pytest
import torch

from genexp.networks.masked_convolution import MaskedConv2d
from genexp.networks.pixelcnn import PixelCNN


def small(shape=(1, 5, 4), levels=3, **options):
    torch.manual_seed(0)
    network = PixelCNN(shape, levels, width=8 * shape[0], depth=2, kernel_size=5, **options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network.double()


def seen_by(network, image, place):
    """Which values (C, H, W) change the logits at a place."""
    image = image.clone().requires_grad_()
    logits = network(image)[0, :, *place]
    (slope,) = torch.autograd.grad(logits.square().sum(), image)
    return slope[0] != 0


@pytest.mark.parametrize("channels", [1, 3])
def test_no_output_depends_on_its_own_value_or_on_a_later_one(channels):
    shape = (channels, 5, 4)
    network = small(shape)
    image = torch.rand(1, *shape, dtype=torch.float64) * 2 - 1
    order = torch.arange(channels * 5 * 4).view(5, 4, channels).movedim(-1, 0)  # rows from the top, channels inside
    for channel in range(channels):
        for row, column in [(0, 0), (0, 3), (2, 1), (4, 3)]:
            place = (channel, row, column)
            seen = seen_by(network, image, place)
            assert not seen[order >= order[place]].any()
            before = order < order[place]
            assert seen[before].sum() >= min(int(before.sum()), 2)  # and it sees what came just before
            if channel:
                assert seen[channel - 1, row, column]


def test_mask_a_leaves_out_what_mask_b_sees():
    masks = [MaskedConv2d(3, 3, 3, groups=3, itself=itself).mask[:, :, 1, 1] for itself in (False, True)]
    assert masks[0].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert masks[1].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_a_class_changes_every_pixel_and_the_start_is_uniform():
    network = PixelCNN((1, 4, 4), 5, width=2, depth=1, num_classes=3)
    image = torch.zeros(2, 1, 4, 4)
    assert network(image, {"label": torch.tensor([0, 1])}).abs().max() == 0
    torch.nn.init.normal_(network.last.weight)
    first, second = network(image, {"label": torch.tensor([0, 1])})
    assert (first != second).any(0).all()


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd and at least 1, got 4"):
        PixelCNN((1, 8, 8), 4, kernel_size=4)
    with pytest.raises(ValueError, match="width must be a positive multiple of the 3 channels, got 10"):
        PixelCNN((3, 8, 8), 4, width=10)
    with pytest.raises(ValueError, match="outputs must be a positive multiple of the 3 channels, got 20"):
        MaskedConv2d(3, 20, 1, groups=3)
    with pytest.raises(ValueError, match=r"shape must be that of images, \[C, H, W\], got \[2\]"):
        PixelCNN((2,), 4)
