"""Large pictures in parts: which parts there are, and how what is made of them becomes one picture."""

from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Box(NamedTuple):
    """A part of a picture, in pixels; it may go beyond its borders."""

    top: int
    left: int
    bottom: int
    right: int


def tiles(height: int, width: int, side: int, reach: int, multiple: int = 1) -> list[tuple[Box, Box]]:
    """Tiles that cover a picture once, each after the part that is looked at for it.

    Args:
        height: Of the picture in pixels.
        width: Likewise.
        side: Of a tile.
        reach: Pixels around a tile that are looked at, where the picture has them.
        multiple: What is looked at begins at a multiple of so many pixels and is as long as one, perhaps beyond the
            picture.
    """
    found = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            inner = Box(top, left, min(top + side, height), min(left + side, width))
            before = [max(each - reach, 0) // multiple * multiple for each in (top, left)]
            ends = min(inner.bottom + reach, height), min(inner.right + reach, width)
            seen = Box(*before, *(-(-each // multiple) * multiple for each in ends))
            found.append((seen, inner))
    return found


def squares(height: int, width: int, side: int) -> list[Box]:
    """Squares of one side that cover a picture and overlap by a quarter at least; of a smaller picture, beyond it."""
    lines = []
    for size in (height, width):
        count = ceil(max(size - side, 0) / (side - side // 4)) + 1
        lines.append([round(i * max(size - side, 0) / max(count - 1, 1)) for i in range(count)])
    return [Box(top, left, top + side, left + side) for top in lines[0] for left in lines[1]]


def cut(picture: Tensor, box: Box) -> Tensor:
    """A part (1, C, h, w) of a picture (C, H, W); beyond its borders its last pixels go on."""
    height, width = picture.shape[1:]
    part = picture[None, :, box.top : min(box.bottom, height), box.left : min(box.right, width)]
    beyond = max(box.right - width, 0), max(box.bottom - height, 0)
    return F.pad(part.float(), (0, beyond[0], 0, beyond[1]), mode="replicate").to(part.dtype) if any(beyond) else part


class Blend:
    """Overlapping squares as one picture: each counts less towards its own borders.

    Args:
        height: Of the picture in pixels.
        width: Likewise.
        side: Of a square.
    """

    def __init__(self, height: int, width: int, side: int) -> None:
        line = torch.arange(side)
        line = (torch.minimum(line, side - 1 - line) + 1).clamp(max=max(side // 4, 1)).float()
        self.size, self.weight = (height, width), line[:, None] * line
        self.total: Tensor | None = None
        self.weights = torch.zeros(height, width)

    def lay(self, image: Tensor, top: int, left: int) -> None:
        """Add a square (C, side, side), of which what lies beyond the picture is left away."""
        if self.total is None:
            self.total = torch.zeros(len(image), *self.size)
        place = slice(top, top + image.shape[1]), slice(left, left + image.shape[2])
        height, width = self.weights[place].shape
        weight = self.weight[:height, :width]
        self.total[(slice(None), *place)] += image[:, :height, :width] * weight
        self.weights[place] += weight

    def image(self) -> Tensor:
        """The picture (C, H, W) in [-1, 1]."""
        return self.total / self.weights
