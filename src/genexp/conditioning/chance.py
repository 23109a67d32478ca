"""Where random degradations take their numbers from: a step of training draws them, else the image says them."""

import hashlib
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


class Chance(Protocol):
    """Random numbers for the images of a batch, a row each; the same object is asked for all of them in order."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (B, *shape)."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Numbers (B, *shape) uniform in [0, 1)."""
        ...


class Drawn:
    """Numbers drawn from torch's own generator, for a step of training.

    Args:
        image: The images (B, ...) that they are for.
    """

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (B, *shape)."""
        return torch.randn(len(self.image), *shape, device=self.image.device)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers (B, *shape) uniform in [0, 1)."""
        return torch.rand(len(self.image), *shape, device=self.image.device)


class OfContent:
    """Numbers that depend on every image alone: of the same image they are the same in any batch, on any device.

    Args:
        image: The images (B, ...) in [-1, 1] that they are for; images that are one at 8 bits have the same numbers.
    """

    def __init__(self, image: Tensor) -> None:
        self.image, self.device = image, image.device

    @cached_property
    def rows(self) -> list[torch.Generator]:
        """A generator an image, made when the first number is asked for."""
        levels = self.image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()
        digests = [hashlib.sha256(each.contiguous().numpy().tobytes()).digest() for each in levels]
        return [torch.Generator().manual_seed(int.from_bytes(each[:7], "big")) for each in digests]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (B, *shape)."""
        return torch.stack([torch.randn(*shape, generator=row) for row in self.rows]).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers (B, *shape) uniform in [0, 1)."""
        return torch.stack([torch.rand(*shape, generator=row) for row in self.rows]).to(self.device)
