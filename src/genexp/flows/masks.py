"""Which values a coupling keeps."""

from collections.abc import Sequence

import torch
from torch import Tensor


def halves(shape: Sequence[int]) -> Tensor:
    """True (C, ...) at the first half of the channels, or of the entries of a vector; the smaller half if they are odd.

    Raises:
        ValueError: there is only one.
    """
    if shape[0] < 2:
        raise ValueError(f"shape must have at least 2 channels or entries for a coupling, got {list(shape)}")
    first = torch.arange(shape[0]) < shape[0] // 2
    return first.view(-1, *[1] * (len(shape) - 1)).expand(*shape).clone()


def checkerboard(shape: Sequence[int], odd: bool = False) -> Tensor:
    """True (C, H, W) where row and column add to an even number, or an odd one; the same in all channels.

    Reference: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017), figure 3.

    Raises:
        ValueError: the shape is none of an image of at least 2 pixels.
    """
    if len(shape) != 3 or shape[1] * shape[2] < 2:
        raise ValueError(f"shape must be that of images [C, H, W] of at least 2 pixels, got {list(shape)}")
    square = torch.arange(shape[1])[:, None] + torch.arange(shape[2])
    return (square % 2 == int(odd)).expand(*shape).clone()
