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

    def has(self, samples: Tensor) -> bool:
        """Whether samples (B, ...) are of this kind."""
        return samples.ndim == 1 + self.value

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


def require_images(image: Tensor, *channels: int, rule: str = "image must have shape", hint: str = "") -> None:
    """Check that samples are images.

    Args:
        image: The samples.
        channels: Numbers of channels that they may have; by default any.
        rule: What the error begins with, before the shape.
        hint: What it ends with.

    Raises:
        ValueError: they are not (B, C, H, W), or have another number of channels.
    """
    if not SampleKind.IMAGES.has(image) or (channels and image.shape[1] not in channels):
        wanted = " or ".join(map(str, channels)) or "C"
        raise ValueError(f"{rule} (B, {wanted}, H, W), got {tuple(image.shape)}{hint}")


def require_videos(image: Tensor, frames: int, exactly: bool = False) -> None:
    """Raise ValueError unless samples are videos (B, T, C, H, W) of at least, or `exactly`, so many frames."""
    if not SampleKind.VIDEO.has(image) or image.shape[1] < frames or (exactly and image.shape[1] != frames):
        least = "" if exactly else "at least "
        got = tuple(image.shape[1:])
        raise ValueError(f"image must be videos of {least}{frames} frames, (T, C, H, W) each, got shape {got}")
