"""What a sample is, by its shape: a point, an image, or a video; all that depends on it is asked here."""

from collections.abc import Sequence
from enum import Enum

import torch
from torch import Tensor

from genexp.tensors import to_float, to_uint8

GAP = 1
"""White pixels between two frames of a video that are shown beside each other."""


class SampleKind(Enum):
    """The kind of samples of one shape: points (D,), images (C, H, W), or video (T, C, H, W) of T frames."""

    POINTS = 1
    IMAGES = 3
    VIDEO = 4

    @property
    def pictured(self) -> bool:
        """Whether a sample can be looked at by itself, so that arcs of samples and single ones are worth drawing."""
        return self is not SampleKind.POINTS

    @property
    def quantiser(self) -> str:
        """What files do to values in [-1, 1]: `uint8`, the nearest of 256 levels, or `none`."""
        return "uint8" if self.pictured else "none"

    def stored(self, samples: Tensor) -> Tensor:
        """Samples as files hold them: uint8, or points as they are."""
        return to_uint8(samples) if self.pictured else samples

    def quantised(self, samples: Tensor) -> Tensor:
        """Samples as they come back from files."""
        return to_float(to_uint8(samples)) if self.pictured else samples

    def tiles(self, samples: Tensor) -> Tensor:
        """Samples that are pictured as one image (B, C, H, W) each: the frames of a video from left to right.

        Raises:
            ValueError: points are no pictures.
        """
        if self is SampleKind.IMAGES:
            return samples
        if self is SampleKind.POINTS:
            raise ValueError(f"samples must be images or video, got points of shape {tuple(samples.shape)}")
        gap = torch.ones_like(samples[:, 0, :, :, :GAP])
        parts = [part for frame in samples.unbind(1) for part in (gap, frame)]
        return torch.cat(parts[1:], dim=-1)


def kind_of(shape: Sequence[int]) -> SampleKind:
    """The kind of samples of a shape.

    Raises:
        ValueError: there is none.
    """
    kinds = {kind.value: kind for kind in SampleKind}
    if len(shape) not in kinds:
        rule = "(D,) of a point, (C, H, W) of an image or (T, C, H, W) of a video"
        raise ValueError(f"shape must be {rule}, got {tuple(shape)}")
    return kinds[len(shape)]
