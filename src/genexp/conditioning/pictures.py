"""Conditions that are pictures of their own beside the sample, such as the same scene in another contrast."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.kinds import require_form, require_share


@runtime_checkable
class OfPictures(Protocol):
    """A condition whose rows are pictures; a person gives it as files."""

    picture: tuple[int, ...]
    """Shape (C, h, w) of a picture, or (K, C, h, w) of the frames that a video begins with."""

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of what the model is told: a picture, perhaps with further channels behind it."""
        ...


@dataclass(frozen=True)
class Picture:
    """A picture (B, C, H, W) in [-1, 1] that the data have beside every sample; zeros stand for none.

    Args:
        shape: Shape (C, H, W) of a picture.
        left_out: Share of training samples that are not told theirs, in [0, 1).

    Raises:
        ValueError: `shape` is that of no picture, or `left_out` is out of range.
    """

    shape: Sequence[int]
    left_out: float = field(default=0.0, compare=False)
    picture: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) != 3 or any(size < 1 for size in self.shape):
            raise ValueError(f"shape must be (C, H, W) of a picture, got {list(self.shape)}")
        require_share(self.left_out)
        object.__setattr__(self, "picture", self.shape)

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of what the model is told."""
        return self.picture

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are real numbers (B, C, H, W)."""
        require_form(rows, self.row, integers=False)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Zeros (num, C, H, W)."""
        return torch.zeros(num, *self.row, device=device)

    def read(self, typed: object) -> Tensor:
        """Pictures (N, C, H, W) in [-1, 1], a row each; of files they are made before."""
        return require_pictures(typed, self.picture)


def require_pictures(typed: object, shape: tuple[int, ...]) -> Tensor:
    """Pictures (N, *shape) that were given.

    Raises:
        ValueError: they are none.
    """
    if isinstance(typed, Tensor) and tuple(typed.shape[1:]) == shape:
        return typed
    got = tuple(typed.shape[1:]) if isinstance(typed, Tensor) else typed
    raise ValueError(f"must be a picture file, a folder of them, or pictures of shape {shape}, got {got}")
