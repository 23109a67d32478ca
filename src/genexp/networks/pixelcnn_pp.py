"""PixelCNN++: two streams of shifted convolutions down to a coarser grid and up again."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ToldBy
from genexp.networks.shifted import Begin, GatedResidual, ShiftedConv2d
from genexp.networks.told_pixels import PixelHead, ToldPixels, require_at_least

Streams = tuple[Tensor, Tensor]
"""Features of the rows above alone, and of all earlier pixels; each (B, width, H, W)."""


class PixelCNNPlusPlus(ToldPixels):
    """Gated residual blocks of two streams at several sizes, with shortcuts from the way down to the way up.

    `shape`, `levels`, `num_classes` and `told` are those of all `ToldPixels`.

    Reference: Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and
    Other Modifications" (2017), sections 2.3 to 2.5; weights are not normalised here, and sizes are small by default.

    Args:
        width: Features of a stream.
        depth: Blocks of a stream at every size, on each way.
        halvings: How often the size is halved.
        dropout: Probability of dropping a feature inside a block.
        mixtures: Components of a mixture of logistics whose numbers are the outputs; None for logits of levels.

    Raises:
        ValueError: `shape` is none of an image or cannot be halved so often, or a size is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        width: int = 32,
        depth: int = 2,
        halvings: int = 2,
        dropout: float = 0.1,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        mixtures: int | None = None,
    ) -> None:
        super().__init__(shape, levels, width, num_classes, told)
        require_at_least(1, depth=depth)
        require_at_least(0, halvings=halvings)
        if any(side % 2**halvings for side in shape[1:]):
            raise ValueError(f"halvings must let {shape[1]} x {shape[2]} pixels be halved evenly, got {halvings}")
        self.mixtures, self.width = mixtures, width
        self.begin = Begin(shape[0], width)
        size = width if self.reads else 0
        self.down = nn.ModuleList()
        for way in range(halvings + 1):
            self.down.extend(_Pair(width, size, dropout, 0) for _ in range(depth))
            self.down.extend([_Halved(width)] if way < halvings else [])
        self.up = nn.ModuleList()
        for way in range(halvings + 1):
            self.up.extend(_Pair(width, size, dropout, width) for _ in range(depth + (way > 0)))
            self.up.extend([_Doubled(width)] if way < halvings else [])
        self.head = PixelHead(width, shape[0], levels, mixtures)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W), or to numbers (B, N, H, W) of mixtures."""
        vector = self.vector(condition)
        passed = [self.begin(image)]
        for part in self.down:
            passed.append(part(passed[-1], vector))
        streams = passed.pop()
        for part in self.up:
            streams = part(streams, vector, passed.pop()) if isinstance(part, _Pair) else part(streams, vector)
        return self.head(streams[1], image)


class _Pair(nn.Module):
    """A block of the first stream, and one of the second that sees the first; on the way up with shortcuts."""

    def __init__(self, width: int, told: int, dropout: float, shortcut: int) -> None:
        super().__init__()
        self.rows = GatedResidual(width, (2, 3), beside=shortcut, told=told, dropout=dropout)
        self.pixels = GatedResidual(width, (2, 2), left=True, beside=width + shortcut, told=told, dropout=dropout)

    def forward(self, streams: Streams, vector: Tensor, shortcut: Streams | None = None) -> Streams:
        rows, pixels = streams
        if shortcut is None:
            rows = self.rows(rows, vector)
            return rows, self.pixels(pixels, vector, rows)
        rows = self.rows(rows, vector, shortcut[0])
        return rows, self.pixels(pixels, vector, torch.cat([rows, shortcut[1]], 1))


class _Halved(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows = ShiftedConv2d(width, width, (2, 3), stride=2)
        self.pixels = ShiftedConv2d(width, width, (2, 2), left=True, stride=2)

    def forward(self, streams: Streams, vector: Tensor) -> Streams:
        return self.rows(streams[0]), self.pixels(streams[1])


class _Doubled(nn.Module):
    """A feature at (i, j) goes to rows 2i and 2i + 1, of the second stream to columns 2j and 2j + 1 alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows = nn.ConvTranspose2d(width, width, (2, 3), 2)
        self.pixels = nn.ConvTranspose2d(width, width, 2, 2)

    def forward(self, streams: Streams, vector: Tensor) -> Streams:
        return self.rows(streams[0])[..., 1:], self.pixels(streams[1])
