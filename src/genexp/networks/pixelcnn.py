"""Masked convolutions: networks whose output at a pixel depends on earlier pixels alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ClassTable, ReadsClass


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


class PixelCNN(ReadsClass, nn.Module):
    """A stack of masked convolutions with residual blocks; its outputs are 0 at the start.

    One large kernel (mask A), blocks of 1 x 1, 3 x 3 and 1 x 1 (mask B), two layers of 1 x 1. A class adds a vector to
    the features of every pixel. Stacks of such masks never see some pixels above and to the right (the blind spot).

    Reference: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016), section 3.5 and
    table 1; van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016), for classes.

    Args:
        shape: Of an image (C, H, W).
        levels: Outputs for every pixel and channel.
        width: Features inside a block; twice as many between blocks. A multiple of C.
        depth: Blocks.
        kernel_size: Side of the first kernel, odd.
        num_classes: Number of classes, or None.

    Raises:
        ValueError: `shape` is none of an image, or a size is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        width: int = 32,
        depth: int = 4,
        kernel_size: int = 7,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"shape must be that of images, [C, H, W], got {list(shape)}")
        if depth < 0:
            raise ValueError(f"depth must not be negative, got {depth}")
        channels = shape[0]
        self.levels, self.num_classes = levels, num_classes
        self.first = MaskedConv2d(channels, 2 * width, kernel_size, channels, itself=False)
        self.label = ClassTable(num_classes, 2 * width) if num_classes else None
        self.blocks = nn.ModuleList(_Block(width, channels) for _ in range(depth))
        self.hidden = MaskedConv2d(2 * width, 2 * width, 1, channels)
        self.last = MaskedConv2d(2 * width, channels * levels, 1, channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""
        label = self.label_of(condition)
        features = self.first(image)
        if self.label is not None:
            features = features + self.label(label)[:, :, None, None]
        for block in self.blocks:
            features = features + block(features)
        logits = self.last(relu(self.hidden(relu(features))))
        return logits.unflatten(1, (-1, self.levels)).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.narrow = MaskedConv2d(2 * width, width, 1, channels)
        self.across = MaskedConv2d(width, width, 3, channels)
        self.widen = MaskedConv2d(width, 2 * width, 1, channels)

    def forward(self, features: Tensor) -> Tensor:
        return self.widen(relu(self.across(relu(self.narrow(relu(features))))))
