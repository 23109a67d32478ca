"""Styles as distributions of feature vectors: as Gaussians, or as they are, seen along lines."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genexp.tensors import mix_seed


@dataclass(frozen=True)
class GaussianLoss:
    """Squared 2-Wasserstein distance of the Gaussians with the feature vectors' means and covariances, over C.

        d = (|m - m'|^2 + tr(S + S' - 2 (R' S R')^(1/2))) / C,   R' = S'^(1/2)

    Reference: Dowson and Landau, "The Frechet Distance between Multivariate Normal Distributions" (1982); as a loss of
    style: Mroueh, "Wasserstein Style Transfer" (2020).

    Args:
        eps: Added to the variances of both, so that a direction without variance has a gradient.

    Raises:
        ValueError: `eps` is negative.
    """

    neighbours: ClassVar[bool] = False
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.eps < 0:
            raise ValueError(f"eps must not be negative, got {self.eps}")

    def describe(self, features: Tensor) -> Tensor:
        """Means and roots of the covariances of feature maps (B, C, H, W): (B, C, 1 + C), float64."""
        mean, covariance = self._moments(features)
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp(min=0).sqrt()[:, None] @ vectors.mT
        return torch.cat([mean[..., None], root], dim=2)

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of the Gaussians of `features` (B, C, H, W) from `target` (B, C, 1 + C)."""
        mean, covariance = self._moments(features)
        wanted, root = target[..., 0], target[..., 1:]
        shift = (mean - wanted).square().sum(1)
        cross = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=_TINY).sqrt().sum(1)
        spread = covariance.diagonal(dim1=1, dim2=2).sum(1) + root.square().sum((1, 2)) - 2 * cross
        return ((shift + spread).clamp(min=0) / features.shape[1]).float()

    def _moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(features.device.type, enabled=False):
            rows = features.float().flatten(2)
            mean = rows.mean(2)
            centred = rows - mean[..., None]
            covariance = (centred @ centred.mT / rows.shape[2]).double()
        return mean.double(), covariance + self.eps * torch.eye(rows.shape[1], device=rows.device)


@dataclass(frozen=True)
class SlicedLoss:
    """Mean squared difference of the sorted projections of the feature vectors on lines through 0.

    It is the squared 2-Wasserstein distance of the whole distributions, averaged over the lines: unlike means,
    covariances and Gram matrices it forgets nothing but positions. The lines are the same in all evaluations, so that a
    line search sees one function. A target of another number of positions is read at the same quantiles.

    Reference: Heitz, Vanhoey, Chambon and Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis" (2021).

    Args:
        lines: Number of lines, at least 1; null for as many as there are channels.
        seed: Seed of their directions.

    Raises:
        ValueError: `lines` is below 1.
    """

    neighbours: ClassVar[bool] = False
    lines: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lines is not None and self.lines < 1:
            raise ValueError(f"lines must be at least 1, or null for one a channel, got {self.lines}")

    def directions(self, channels: int) -> Tensor:
        """Unit vectors (L, `channels`), the same ones every time."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, channels))
        drawn = torch.randn(self.lines or channels, channels, generator=generator, dtype=torch.float64)
        return functional.normalize(drawn, dim=1).float()

    def describe(self, features: Tensor) -> Tensor:
        """Sorted projections (B, L, H W) of feature maps (B, C, H, W), in float32 under any autocast."""
        with torch.autocast(features.device.type, enabled=False):
            rows = features.float().flatten(2)
            return (self.directions(rows.shape[1]).to(rows.device) @ rows).sort(dim=2).values

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of the distributions of `features` (B, C, H, W) from `target` (B, L, N)."""
        found = self.describe(features)
        wanted = functional.interpolate(target, found.shape[2], mode="nearest-exact")
        return (found - wanted).square().flatten(1).mean(1)


_TINY = 1e-12
