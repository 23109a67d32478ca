"""Luminance and colour differences of pictures in [-1, 1], and the luminance that papers measure."""

import torch
from torch import Tensor

from genexp.conditioning.degradations import LUMA

_RED, _GREEN, _BLUE = LUMA
STUDIO = (65.481, 128.553, 24.966)
"""Levels of 8 bits that full red, green and blue add to a luminance of 16, by ITU-R BT.601 (Matlab's rgb2ycbcr)."""


def luma_of(picture: Tensor) -> Tensor:
    """The luma (B, 1, H, W) of RGB pictures (B, 3, H, W) by ITU-R BT.601, over the full range."""
    return (picture * torch.tensor(LUMA).to(picture).view(3, 1, 1)).sum(1, keepdim=True)


def parted(picture: Tensor) -> tuple[Tensor, Tensor]:
    """RGB pictures (B, 3, H, W) as luma (B, 1, H, W) and differences of blue and red from it (B, 2, H, W)."""
    luma = luma_of(picture)
    return luma, picture[:, [2, 0]] - luma


def joined(luma: Tensor, differences: Tensor) -> Tensor:
    """RGB pictures (B, 3, H, W) of luma and differences; the inverse of `parted`."""
    blue, red = (luma + differences).unbind(1)
    green = (luma[:, 0] - _RED * red - _BLUE * blue) / _GREEN
    return torch.stack([red, green, blue], 1)


def luminance(picture: Tensor) -> Tensor:
    """The luminance Y (B, 1, H, W) in whole levels, 16 to 235, float64, of RGB or grey pictures in [-1, 1].

    It is Y of Matlab's rgb2ycbcr, rounded as for pictures of 8 bits. Grey is the luma over the full range.
    """
    share = picture.double().clamp(-1, 1).add(1).div(2)
    if picture.shape[1] == 1:
        return (16 + 219 * share).round()
    return (
        16 + (share * torch.tensor(STUDIO, dtype=torch.float64, device=share.device).view(3, 1, 1)).sum(1, True)
    ).round()
