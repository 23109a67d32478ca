"""PixelCNN: a stack of masked convolutions."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ToldBy
from genexp.networks.masked_convolution import MaskedConv2d
from genexp.networks.told_pixels import ToldPixels


class PixelCNN(ToldPixels):
    """A stack of masked convolutions with residual blocks; its outputs are 0 at the start.

    One large kernel (mask A), blocks of 1 x 1, 3 x 3 and 1 x 1 (mask B), two layers of 1 x 1. A class adds a vector to
    the features of every pixel. Stacks of such masks never see some pixels above and to the right (the blind spot).
    `shape`, `levels`, `num_classes` and `told` are those of all `ToldPixels`.

    Reference: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016), section 3.5 and
    table 1; van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016), for classes.

    Args:
        width: Features inside a block; twice as many between blocks. A multiple of C.
        depth: Blocks.
        kernel_size: Side of the first kernel, odd.

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
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(shape, levels, 2 * width, num_classes, told)
        if depth < 0:
            raise ValueError(f"depth must not be negative, got {depth}")
        channels = shape[0]
        if width < 1 or width % channels:
            raise ValueError(f"width must be a positive multiple of the {channels} channels, got {width}")
        self.first = MaskedConv2d(channels, 2 * width, kernel_size, channels, itself=False)
        self.blocks = nn.ModuleList(_Block(width, channels) for _ in range(depth))
        self.hidden = MaskedConv2d(2 * width, 2 * width, 1, channels)
        self.last = MaskedConv2d(2 * width, channels * levels, 1, channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""
        features = self.first(image) + self.vector(condition)[:, :, None, None]
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
