"""The diagonal Gaussian posterior of a model whose prior is standard normal, and how many units it uses."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOG_VARIANCE_RANGE = (-20.0, 10.0)
"""Log-variances are clipped to this range: standard deviations from 5e-5 to 150."""


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag(exp(log_variance))) for every sample of a batch.

    Args:
        mean: Means (B, ...), the latent's own shape after the batch axis.
        log_variance: Logarithms of the variances, same shape.
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> "DiagonalGaussian":
        """Read the first half of axis 1 as means and the second as log-variances, clipped, in float32 or better."""
        if parameters.shape[1] % 2:
            raise ValueError(f"parameters must have an even size on axis 1, got {tuple(parameters.shape)}")
        parameters = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
        mean, log_variance = parameters.chunk(2, dim=1)
        return cls(mean, log_variance.clamp(*LOG_VARIANCE_RANGE))

    def rsample(self, noise: Tensor) -> Tensor:
        """The sample mean + std * noise, differentiable in both parameters.

        Reference: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014).

        Args:
            noise: Standard normal values of the shape of `mean`.
        """
        return self.mean + torch.exp(self.log_variance / 2) * noise

    def sampled(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`rsample` of noise (B, D) with the log-density of these samples in nats, (B,)."""
        log_prob = -((noise.square() + self.log_variance + math.log(2 * math.pi)) / 2).flatten(1).sum(1)
        return self.rsample(noise), log_prob

    def kl_per_unit(self) -> Tensor:
        """KL divergence to N(0, 1) of every unit in nats, (mean^2 + variance - 1 - log variance) / 2, same shape."""
        return (self.mean.square() + self.log_variance.expm1() - self.log_variance) / 2

    def kl(self) -> Tensor:
        """KL divergence to the standard normal prior in nats, summed over units, shape (B,)."""
        return self.kl_per_unit().flatten(1).sum(1)

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log-density of one latent for each sample in nats, shape (B,)."""
        return self.log_prob_per_unit(latent).flatten(1).sum(1)

    def log_prob_per_unit(self, latent: Tensor) -> Tensor:
        """The log-density of every unit of latents that broadcast against `mean`, in nats."""
        square = (latent - self.mean).square() / self.log_variance.exp()
        return -(square + self.log_variance + math.log(2 * math.pi)) / 2


class UnitActivity:
    """The variance over the data of every unit's posterior mean, from batches that need not be kept.

    A unit is active if that variance exceeds 0.01; the others have collapsed to the prior.

    Reference: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (2016).
    """

    threshold = 0.01

    def __init__(self) -> None:
        self.moments: Tensor | None = None

    def add(self, mean: Tensor) -> None:
        """Add posterior means (B, D)."""
        mean = mean.detach().flatten(1).double()
        moments = torch.stack([torch.ones_like(mean), mean, mean.square()]).sum(1)
        self.moments = moments if self.moments is None else self.moments + moments

    def variance(self) -> Tensor:
        """Population variance of every unit's posterior mean over all samples added, shape (D,).

        Raises:
            ValueError: No sample was added.
        """
        if self.moments is None:
            raise ValueError("variance needs at least one sample, got none")
        count, total, square = self.moments
        return (square / count - (total / count).square()).clamp(min=0)

    def active_units(self) -> int:
        """Number of units whose variance exceeds the threshold."""
        return int((self.variance() > self.threshold).sum())
