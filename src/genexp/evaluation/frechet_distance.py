"""The Fréchet distance between two Gaussians, from symmetric eigenvalue problems alone."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from genexp.evaluation.moments import Moments


@dataclass(frozen=True)
class GaussianMoments:
    """A normal law with a factored covariance, so that comparing many laws with it factors it once.

    Args:
        mean: The mean (D,).
        root: A factor R (D, r) of the covariance R R^T, with as few columns as it has rank, or as there were samples.
        count: Number of samples that it was fitted to.
    """

    mean: Tensor
    root: Tensor
    count: int

    @classmethod
    def fit(cls, moments: Moments) -> Self:
        """The normal law with these moments.

        Raises:
            ValueError: the moments are of fewer than two samples.
        """
        if moments.factor is not None:
            return cls(moments.mean, moments.factor, moments.count)
        covariance = moments.covariance
        root, failed = torch.linalg.cholesky_ex(covariance)
        smallest = covariance.diagonal().max() * len(root) * torch.finfo(root.dtype).eps
        if not failed and root.diagonal().square().min() > smallest:  # of full rank: a tenth of the work
            return cls(moments.mean, root, moments.count)
        values, vectors = torch.linalg.eigh(covariance)
        kept = values > values[-1].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
        return cls(moments.mean, vectors[:, kept] * values[kept].sqrt(), moments.count)

    @property
    def trace(self) -> Tensor:
        """The trace of the covariance."""
        return self.root.square().sum()


@dataclass(frozen=True)
class FrechetResult:
    """A Fréchet distance and how far rounding may have moved it.

    Args:
        value: The squared distance, not negative.
        residual: What was clipped on the way: square roots of negative eigenvalues, and a negative total. Zero in exact
            arithmetic; compare it with `value`.
    """

    value: float
    residual: float


def frechet_distance(moments: Moments, reference: GaussianMoments) -> FrechetResult:
    r"""The squared Fréchet (2-Wasserstein) distance between the normal law with `moments` and `reference`.

    |m - m_r|^2 + tr S + tr S_r - 2 tr (R^T S R)^{1/2} with S_r = R R^T. The matrix under the root is symmetric and
    positive semi-definite whatever the ranks, so its eigenvalues are real and the root is a sum of square roots. With
    fewer samples than dimensions S = F F^T, and the smaller of (F^T R)(F^T R)^T and (F^T R)^T (F^T R) has the same
    eigenvalues; the value is well defined then too, though strongly biased upwards.

    References: Dowson and Landau, "The Fréchet Distance between Multivariate Normal Distributions" (1982); used on
    network features by Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium" (2017); the Gram form by Mathiasen and Hvilshøj, "Fast Fréchet Inception Distance" (2020).

    Args:
        moments: Moments of the features of generated images.
        reference: The law of the features of real images.

    Returns:
        The distance in squared feature units.

    Raises:
        ValueError: the dimensions differ, or `moments` are of fewer than two samples.
    """
    if moments.dimensions != len(reference.mean):
        raise ValueError(f"moments must have {len(reference.mean)} dimensions, got {moments.dimensions}")
    factor = moments.factor
    if factor is None:
        covariance = moments.covariance
        trace, inner = covariance.trace(), reference.root.mT @ covariance @ reference.root
    else:
        cross = factor.mT @ reference.root
        trace, inner = factor.square().sum(), cross @ cross.mT if len(cross) < cross.shape[1] else cross.mT @ cross
    eigenvalues = torch.linalg.eigvalsh((inner + inner.mT) / 2)
    overlap = eigenvalues.clamp(min=0).sqrt().sum()
    clipped = (-eigenvalues).clamp(min=0).sqrt().sum()
    gap = (moments.mean - reference.mean).square().sum()
    value = gap + trace + reference.trace - 2 * overlap
    residual = 2 * clipped + (-value).clamp(min=0)
    return FrechetResult(float(value.clamp(min=0)), float(residual))
