"""Conditions that are what a frozen encoder says of the sample, such as its image embedding."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from genexp.conditioning.kinds import require_form, require_share


class Encoder(Protocol):
    """A frozen network from images (B, C, H, W) in [-1, 1] to vectors (B, dimensions)."""

    digest: str
    dimensions: int

    def __call__(self, image: Tensor) -> Tensor: ...


def unit(vectors: Tensor) -> Tensor:
    """Vectors (B, D) of length sqrt(D), so that their values have a mean square of 1."""
    return functional.normalize(vectors.float(), dim=-1) * vectors.shape[-1] ** 0.5


@dataclass(frozen=True)
class Embedded:
    """The embedding (B, D) of the sample by a frozen encoder, brought to length sqrt(D); zeros stand for none.

    A model that is told it draws other pictures of what the encoder sees in one.

    Reference: Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents" (2022), section 2.1.

    Args:
        encoder: The encoder.
        left_out: Share of training samples that are not told theirs, in [0, 1).

    Raises:
        ValueError: `left_out` is out of range.
    """

    encoder: Encoder = field(compare=False)
    left_out: float = field(default=0.0, compare=False)
    dimensions: int = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        require_share(self.left_out)
        object.__setattr__(self, "dimensions", self.encoder.dimensions)
        object.__setattr__(self, "digest", self.encoder.digest)

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are real numbers (B, D)."""
        require_form(rows, (self.dimensions,), integers=False)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Zeros (num, D)."""
        return torch.zeros(num, self.dimensions, device=device)

    def read(self, typed: object) -> Tensor:
        """Embeddings (N, D), or one as a list of D numbers, brought to their length."""
        if isinstance(typed, Sequence) and not isinstance(typed, str):
            typed = torch.tensor([list(typed)], dtype=torch.float32)
        if not isinstance(typed, Tensor) or tuple(typed.shape[1:]) != (self.dimensions,):
            raise ValueError(f"must be an embedding of {self.dimensions} numbers, got {typed}")
        return unit(typed)

    @torch.no_grad()
    def made(self, image: Tensor) -> Tensor:
        """Embeddings (B, D) of images (B, C, H, W) in [-1, 1]."""
        return unit(self.encoder(image.float()))

    def made_anew(self, image: Tensor) -> Tensor:
        """The same: nothing is random in it."""
        return self.made(image)

    def in_training(self, rows: Tensor) -> Tensor:
        """The embeddings as they are."""
        return rows
