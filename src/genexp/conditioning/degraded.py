"""Conditions that are pictures made of the sample itself, by taking something away from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genexp.conditioning.kinds import require_form, require_share
from genexp.conditioning.pictures import require_pictures


class Degradation(Protocol):
    """What is taken away from images (B, C, H, W); the same for the same image."""

    def __call__(self, image: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Downscaled:
    """Means over squares of `factor` times `factor` pixels.

    Args:
        factor: Side of a square, at least 2; divides the sides of an image.

    Raises:
        ValueError: `factor` is below 2, or when called does not divide.
    """

    factor: int = 2

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"factor must be at least 2, got {self.factor}")

    def __call__(self, image: Tensor) -> Tensor:
        """Images (B, C, H, W) to (B, C, H / factor, W / factor)."""
        height, width = image.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ValueError(f"factor must divide the sides of an image, {height} and {width}, got {self.factor}")
        return F.avg_pool2d(image, self.factor)


@dataclass(frozen=True)
class Degraded:
    """A picture (B, C, h, w) that a degradation makes of the sample, so that a model learns to undo it.

    With `noise` the model is trained on pictures with Gaussian noise of a deviation from 0 to that, as likely as any
    other, and is told it in a further channel: then it believes less in what a model before it has drawn. Pictures that
    are given when it draws have none. Zeros stand for no picture.

    References: Saharia et al., "Image Super-Resolution via Iterative Refinement" (2021), section 2.3, for the low
    resolution beside the noisy image; Ho et al., "Cascaded Diffusion Models for High Fidelity Image Generation" (2022),
    section 4, for the noise.

    Args:
        shape: Shape (C, H, W) of the images that it is made of.
        degradation: What makes it.
        noise: Largest deviation of the noise in training, at least 0.
        left_out: Share of training samples that are not told theirs, in [0, 1).

    Raises:
        ValueError: `shape` is that of no image, the degradation does not go with it, or a number is out of range.
    """

    shape: Sequence[int]
    degradation: Degradation = Downscaled()
    noise: float = 0.0
    left_out: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) != 3 or any(size < 1 for size in self.shape):
            raise ValueError(f"shape must be (C, H, W) of an image, got {list(self.shape)}")
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, got {self.noise}")
        require_share(self.left_out)
        object.__setattr__(self, "picture", tuple(self.degradation(torch.zeros(1, *self.shape)).shape[1:]))

    picture: tuple[int, ...] = field(init=False, compare=False)
    """Shape (C, h, w) of a picture."""

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of what the model is told: a picture, with the channel of its noise where there may be some."""
        return (self.picture[0] + (self.noise > 0), *self.picture[1:])

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are real numbers (B, *row)."""
        require_form(rows, self.row, integers=False)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Zeros (num, *row)."""
        return torch.zeros(num, *self.row, device=device)

    def read(self, typed: object) -> Tensor:
        """Rows (N, *row) of pictures (N, C, h, w) in [-1, 1]; of a file they are made before."""
        return self._without_noise(require_pictures(typed, self.picture))

    def made(self, image: Tensor) -> Tensor:
        """Rows (B, *row) of samples (B, *shape)."""
        return self._without_noise(self.degradation(image))

    def in_training(self, rows: Tensor) -> Tensor:
        """Rows with noise of a random deviation, which they tell."""
        if self.noise == 0:
            return rows
        level = self.noise * torch.rand(len(rows), 1, 1, 1, device=rows.device)
        picture = rows[:, :-1] + level * torch.randn_like(rows[:, :-1])
        return torch.cat([picture, level.expand_as(rows[:, -1:])], 1)

    def _without_noise(self, picture: Tensor) -> Tensor:
        return picture if self.noise == 0 else torch.cat([picture, torch.zeros_like(picture[:, :1])], 1)
