"""How clean images are kept in their range: cut off at its ends, or at a percentile of their own and made smaller."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.tensors import expand_to

Clip = bool | Mapping[str, float]
"""Whether images are clipped to [-1, 1], or `{percentile: p}` for dynamic thresholding."""


@dataclass(frozen=True)
class Dynamic:
    """Dynamic thresholding: an image is clipped to [-s, s] and divided by s, its percentile of |x_0|, at least 1.

    Strong guidance leads values out of [-1, 1]; cut off, they would be saturated.

    Reference: Saharia et al., "Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding" (2022),
    section 2.3.

    Args:
        percentile: Share of the values of an image that lie within [-s, s], in (0, 1]; at 1 none is cut off.

    Raises:
        ValueError: `percentile` is out of range.
    """

    percentile: float = 0.995

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 1:
            raise ValueError(f"clip must have a percentile in (0, 1], got {self.percentile}")

    def __call__(self, x_0: Tensor) -> Tensor:
        """Images (B, ...) in [-1, 1], each by its own values alone."""
        size = torch.quantile(x_0.flatten(1).abs().float(), self.percentile, dim=1).clamp(min=1)
        size = expand_to(size.to(x_0.dtype), x_0)
        return x_0.clamp(-size, size) / size


def read_clip(clip: Clip) -> bool | Dynamic:
    """What a sampler's `clip` says.

    Raises:
        ValueError: it has another key than `percentile`, or a percentile out of range.
    """
    if isinstance(clip, bool):
        return clip
    if set(clip) != {"percentile"}:
        raise ValueError(f"clip must be true, false or {{percentile: p}}, got {dict(clip)}")
    return Dynamic(clip["percentile"])


def clipped(x_0: Tensor, clip: bool | Dynamic) -> Tensor:
    """Clean images (B, ...) in the range that `clip` gives them."""
    if isinstance(clip, Dynamic):
        return clip(x_0)
    return x_0.clamp(-1, 1) if clip else x_0
