"""How far latents of the data lie from those of the prior, by kernels: what InfoVAE and WAE train."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Noise
from genexp.latents.bounds import Bound, Draw
from genexp.latents.evidence import Evidence, Terms
from genexp.latents.gathered import of_all
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior

WAE_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kernel(ABC):
    """k(x, y) of latents (..., D), a mean over several widths s relative to that of N(0, I), 2 D.

    Args:
        scales: The widths, above 0.

    Raises:
        ValueError: there is none, or one is not above 0.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        if isinstance(scales, str) or not scales or not all(scale > 0 for scale in scales):
            raise ValueError(f"scales must be a list of numbers above 0, got {scales}")
        self.scales = tuple(scales)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Values (M, N) of all pairs of x (M, D) and y (N, D)."""
        square = (x[:, None] - y[None]).square().sum(2)
        return torch.stack([self.of_square(square, 2 * x.shape[1] * scale) for scale in self.scales]).mean(0)

    @abstractmethod
    def of_square(self, square: Tensor, width: float) -> Tensor:
        """Of squared distances."""


class InverseMultiquadratic(Kernel):
    """C / (C + |x - y|^2), C = 2 D s: heavy tails, which tell of latents that are far away.

    Reference: Tolstikhin et al., "Wasserstein Auto-Encoders" (2018), section 4.
    """

    def __init__(self, scales: Sequence[float] = WAE_SCALES) -> None:
        super().__init__(scales)

    def of_square(self, square: Tensor, width: float) -> Tensor:
        """C / (C + d^2)."""
        return width / (width + square)


class RadialBasis(Kernel):
    """exp(-|x - y|^2 / C), C = 2 D s."""

    def __init__(self, scales: Sequence[float] = (1.0,)) -> None:
        super().__init__(scales)

    def of_square(self, square: Tensor, width: float) -> Tensor:
        """exp(-d^2 / C)."""
        return torch.exp(-square / width)


def discrepancy(kernel: Kernel, x: Tensor, y: Tensor) -> Tensor:
    """The squared maximum mean discrepancy of two samples (M, D) and (N, D), without bias: it may be below 0.

    Reference: Gretton et al., "A Kernel Two-Sample Test" (2012), lemma 6.

    Raises:
        ValueError: a sample has fewer than 2 rows.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"samples must have at least 2 rows each for a discrepancy, got {len(x)} and {len(y)}")
    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return within[0] + within[1] - 2 * kernel(x, y).mean()


class MaximumMeanDiscrepancy(Bound):
    """-log p(x | z) + beta (kl KL(q(z | x) || p(z)) + weight MMD^2(q(z), p(z))), q(z) over the batch of all processes.

    InfoVAE has kl = 1 - alpha and weight = alpha + lambda - 1; WAE has kl = 0, and may have a posterior of one latent.

    References: Zhao, Song and Ermon, "InfoVAE: Balancing Learning and Inference in Variational Autoencoders" (2019),
    equation 6; Tolstikhin et al., "Wasserstein Auto-Encoders" (2018), algorithm 2.

    Args:
        kernel: Of latents.
        weight: Of the discrepancy, in nats of an image; not negative.
        kl: Of the divergence of every image; not negative.

    Raises:
        ValueError: an argument is out of range.
    """

    whole_batches = "model/bound=mmd"
    deterministic: ClassVar[bool] = True

    def __init__(self, kernel: Kernel, weight: float = 100.0, kl: float = 0.0) -> None:
        for name, value in (("weight", weight), ("kl", kl)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        self.kernel, self.weight, self.kl = kernel, weight, kl

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too for a divergence of single latents."""
        super().require(posterior, prior)
        if self.kl and posterior.deterministic:
            raise ValueError(f"kl must be 0 with posterior {type(posterior).__name__}, of one latent, got {self.kl}")

    def draw(self, noise: Noise, prior: Draw, image: Tensor, outputs: int) -> dict[str, Tensor]:
        """A latent of the prior for every image."""
        return {"bound/prior": prior(noise)}

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), and the discrepancy `mmd` (B,), the same of all."""
        latents, others = of_all(evidence.latent[:, 0]), of_all(evidence.noise["bound/prior"])
        found = discrepancy(self.kernel, latents, others.to(latents))
        penalty = self.weight * found + (self.kl * evidence.kl if self.kl else 0)
        reconstruction = evidence.reconstruction.mean(1)
        return {"loss": reconstruction + beta * penalty, "mmd": found.expand(len(reconstruction))}
