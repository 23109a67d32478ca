"""Latents of whole numbers: every place of a grid of features is one of so many codes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Assigned:
    """Features that were given codes.

    Args:
        code: The code of every place (B, h, w), int64 in [0, codes).
        embedded: What stands for it (B, D, h, w). Its gradient is that of the features, straight through.
        commitment: Squared distance (B,) of the features from it, with gradients to the features alone.
    """

    code: Tensor
    embedded: Tensor
    commitment: Tensor


class Quantiser(nn.Module, ABC):
    """Features (B, D, h, w) to codes and back.

    Args:
        codes: Number K of codes.
        size: Numbers D of every place.

    Raises:
        ValueError: there are fewer than two codes or no numbers.
    """

    commits: bool = False
    """Whether features are drawn to what stands for them by a loss."""

    def __init__(self, codes: int, size: int) -> None:
        super().__init__()
        for name, number, least in (("codes", codes, 2), ("size", size, 1)):
            if number < least:
                raise ValueError(f"{name} must be at least {least}, got {number}")
        self.codes, self.size = codes, size

    @abstractmethod
    def forward(self, features: Tensor) -> Assigned:
        """The codes of features (B, D, h, w), in float32."""

    @abstractmethod
    def embed(self, code: Tensor) -> Tensor:
        """What stands for codes (B, h, w): (B, D, h, w)."""

    def learn(self, features: Tensor, code: Tensor, key: Tensor) -> None:
        """Follow the features of a whole training batch; nothing by default.

        Args:
            features: (B, D, h, w), of this process's share of the batch.
            code: Their codes (B, h, w).
            key: Numbers (B, h, w) uniform in [0, 1), by which some of the features are chosen.
        """


def straight_through(features: Tensor, embedded: Tensor) -> Tensor:
    """The value of `embedded`, bit for bit, with the gradient of `features`.

    Reference: Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
    Conditional Computation" (2013).
    """
    return embedded.detach() + (features - features.detach())


class FiniteScalar(Quantiser):
    """Every number of a place is rounded to one of a few levels; a code says all of them, so nothing is learned.

    A feature z_i becomes round(tanh(z_i + s) (L_i - 1) (1 + eps) / 2 - o) with o = 1/2 for an even number of levels L_i
    and 0 for an odd one, and s such that 0 stays at 0; divided by L_i // 2 it lies in [-1, 1]. Of an even number of
    levels one more lies below 0 than above.

    Reference: Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple" (2024), section 3.1 and appendix A.

    Args:
        levels: Number of levels of every number, each at least 2; the codes are all their combinations.

    Raises:
        ValueError: there are no levels or fewer than two of a number.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        if not levels or min(levels) < 2:
            raise ValueError(f"levels must be one number or more, each at least 2, got {list(levels)}")
        super().__init__(math.prod(levels), len(levels))
        self.levels = tuple(levels)
        counts = torch.tensor(self.levels)
        self.register_buffer("base", torch.cat([torch.ones(1, dtype=torch.int64), counts.cumprod(0)[:-1]]), False)
        self.register_buffer("counts", counts, False)

    def forward(self, features: Tensor) -> Assigned:
        """The codes of features (B, D, h, w), in float32; the first number of a place counts least."""
        z, half, column = features.float(), (self.counts - 1) * (1 + 1e-3) / 2, (-1, 1, 1)
        offset = torch.where(self.counts % 2 == 0, 0.5, 0.0)
        bounded = (z + (offset / half).atanh().view(column)).tanh() * half.view(column) - offset.view(column)
        level = bounded.detach().round()
        centre = (self.counts // 2).view(column)
        code = ((level.long() + centre) * self.base.view(column)).sum(1)
        return Assigned(code, straight_through(bounded, level) / centre, z.new_zeros(len(z)))

    def embed(self, code: Tensor) -> Tensor:
        """The levels of codes (B, h, w), in [-1, 1]: (B, D, h, w)."""
        column = (-1, 1, 1)
        level = code[:, None] // self.base.view(column) % self.counts.view(column)
        centre = (self.counts // 2).view(column)
        return (level - centre).float() / centre


def usage_terms(count: Tensor) -> dict[str, Tensor]:
    """From how often every code was used (K,): `perplexity`, exp of the entropy of its shares, and `codes_used`."""
    share = count.double() / count.sum()
    return {"perplexity": torch.special.entr(share).sum().exp(), "codes_used": (count > 0).sum().double()}
