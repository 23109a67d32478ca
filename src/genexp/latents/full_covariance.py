"""Gaussian posteriors whose units depend on each other."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.latents.gaussian import LOG_VARIANCE_RANGE
from genexp.latents.posteriors import Posterior


@dataclass(frozen=True)
class FullGaussian:
    """N(mean, L L^T) for every image, L lower triangular with a positive diagonal.

    Args:
        mean: Means (B, D).
        factor: L, of shape (B, D, D).
    """

    mean: Tensor
    factor: Tensor

    def rsample(self, noise: Tensor) -> Tensor:
        """mean + L noise, of normal noise (B, D)."""
        return self.mean + (self.factor @ noise[..., None].to(self.factor))[..., 0]

    def sampled(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`rsample` with its log-density in nats (B,)."""
        return self.rsample(noise), -(noise.square() + math.log(2 * math.pi)).sum(1) / 2 - self._log_diagonal()

    def log_prob(self, latent: Tensor) -> Tensor:
        """The log-density of latents (B, D) in nats (B,)."""
        noise = torch.linalg.solve_triangular(self.factor, (latent - self.mean)[..., None], upper=False)[..., 0]
        return -(noise.square() + math.log(2 * math.pi)).sum(1) / 2 - self._log_diagonal()

    def kl(self) -> Tensor:
        """(|L|^2 + |mean|^2 - D) / 2 - sum log diag L, to N(0, I) in nats (B,)."""
        square = self.factor.square().sum((1, 2)) + self.mean.square().sum(1) - self.mean.shape[1]
        return square / 2 - self._log_diagonal()

    def kl_per_unit(self) -> None:
        """None: units depend on each other."""

    def _log_diagonal(self) -> Tensor:
        return self.factor.diagonal(dim1=1, dim2=2).log().sum(1)


class FullCovariance(Posterior):
    """A Gaussian with any covariance: means, log-variances of the diagonal of L, then what is below it, row by row.

    The diagonal is clipped as that of `DiagonalGaussian`.
    """

    formula = "latent_size * (latent_size + 3) / 2"
    per_unit = False

    @property
    def numbers(self) -> int:
        """Numbers of a mean and a triangle."""
        return self.latent_size * (self.latent_size + 3) // 2

    def law(self, parameters: Tensor) -> FullGaussian:
        """The Gaussians."""
        size = self.latent_size
        mean, diagonal, below = self.require(parameters).split([size, size, size * (size - 1) // 2], 1)
        rows, columns = torch.tril_indices(size, size, -1, device=mean.device)
        factor = torch.diag_embed((diagonal.clamp(*LOG_VARIANCE_RANGE) / 2).exp())
        return FullGaussian(
            mean, factor.index_put((torch.arange(len(mean), device=mean.device)[:, None], rows, columns), below)
        )

    def density(self, parameters: Tensor, latent: Tensor) -> Tensor:
        """The Gaussian density."""
        return self.law(parameters).log_prob(latent)
