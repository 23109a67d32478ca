"""Bicubic resizing as Matlab's imresize does it, which the tables of super-resolution are made with."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from genexp.geometry import mirrored

SUPPORT = 4.0
"""Width of the kernel in pixels of the finer of both pictures."""


def cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2 at distances (...): 1 at 0, and 0 at all other whole numbers and beyond 2.

    Reference: Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981), equation 15.
    """
    x = distance.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def taps(size: int, scale: float) -> tuple[Tensor, Tensor]:
    """Which pixels of a line every resized pixel is made of, and in which shares.

    The centres of both lines fall together. Where the line gets shorter, the kernel is as many times wider, so that
    nothing is aliased. Beyond its ends the line goes on as its mirror image, the last pixel repeated.

    Args:
        size: Pixels of the line.
        scale: Pixels of the resized line over that; rounded up to whole pixels.

    Returns:
        Indices (M, K) int64 and weights (M, K) float64 of the M resized pixels; weights sum to 1.
    """
    count, shrink = math.ceil(size * scale - 1e-9), min(scale, 1.0)
    width = SUPPORT / shrink
    centre = (torch.arange(count, dtype=torch.float64) + 0.5) / scale - 0.5
    first = (centre - width / 2).floor()
    index = first[:, None] + torch.arange(math.ceil(width) + 2, dtype=torch.float64)
    weight = shrink * cubic(shrink * (centre[:, None] - index))
    weight = weight / weight.sum(1, keepdim=True)
    used = (weight != 0).any(0)
    return mirrored(index[:, used].long(), size), weight[:, used]


def resized(image: Tensor, scale: float) -> Tensor:
    """Images (..., H, W) at another scale, (..., ceil(scale H), ceil(scale W)); values may overshoot."""
    return _along(_along(image, -2, scale), -1, scale)


def _along(image: Tensor, axis: int, scale: float) -> Tensor:
    index, weight = taps(image.shape[axis], scale)
    index, weight = index.to(image.device), weight.to(image)
    weight = weight[:, None] if axis == -2 else weight[None]
    total = torch.zeros((), dtype=image.dtype, device=image.device)
    for tap in range(index.shape[1]):
        total = total + image.index_select(axis, index[:, tap]) * weight[..., tap]
    return total
