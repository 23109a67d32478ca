"""A convolution that sees pixels above and to the left alone."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class MaskedConv2d(nn.Module):
    """A convolution that sees pixels above and to the left, and of its own pixel the earlier channels.

    Features are dealt into as many equal groups as an image has channels, in order; group g belongs to image channel g.
    At the centre of the kernel group g sees the groups before it, and with `itself` its own. The first layer of a
    network leaves itself out (mask A), the others do not (mask B).

    Reference: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016), section 3.4.

    Args:
        inputs: Input features, a multiple of `groups`.
        outputs: Output features, a multiple of `groups`.
        kernel_size: Pixels a side, odd.
        groups: Channels of an image.
        itself: Whether a group sees itself.

    Raises:
        ValueError: a size does not fit.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, groups: int = 1, itself: bool = True) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")
        for name, size in (("inputs", inputs), ("outputs", outputs)):
            if size < 1 or size % groups:
                raise ValueError(f"{name} must be a positive multiple of the {groups} channels, got {size}")
        full = nn.Conv2d(inputs, outputs, kernel_size)
        self.weight, self.bias = full.weight, full.bias
        self.padding = kernel_size // 2
        self.register_buffer("mask", _mask(inputs, outputs, kernel_size, groups, itself), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Features (B, inputs, H, W) to (B, outputs, H, W)."""
        return conv2d(image, self.weight * self.mask, self.bias, padding=self.padding)


def _mask(inputs: int, outputs: int, kernel_size: int, groups: int, itself: bool) -> Tensor:
    mask = torch.zeros(outputs, inputs, kernel_size, kernel_size)
    middle = kernel_size // 2
    mask[:, :, :middle] = 1
    mask[:, :, middle, :middle] = 1
    mine, theirs = (torch.arange(count) * groups // count for count in (outputs, inputs))
    mask[:, :, middle, middle] = (theirs <= mine[:, None] if itself else theirs < mine[:, None]).float()
    return mask
