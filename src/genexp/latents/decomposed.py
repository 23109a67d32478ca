"""The KL divergence of a VAE in three parts, each with a weight of its own."""

import math

import torch
from torch import Tensor

from genexp.latents.bounds import Bound
from genexp.latents.evidence import Evidence, Terms
from genexp.latents.gathered import first_row, of_all
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.posteriors import Diagonal, Posterior
from genexp.latents.priors import Prior

SAMPLINGS = ("weighted", "stratified")


class TotalCorrelation(Bound):
    """-log p(x | z) + beta (mi I(x; z) + tc TC(z) + dw sum_d KL(q(z_d) || p(z_d))), the beta-TC-VAE.

    With every weight 1 the three parts are the KL divergence: log q(z | x) - log q(z), log q(z) - sum_d log q(z_d) and
    sum_d log q(z_d) - log p(z), where q(z) is the mean of q(z | x) over the N training images. Of a batch of M it is
    estimated by one of the two ways of the paper. `weighted`: log 1/(N M) sum_j q(z | x_j), which is biased; N moves
    the logged parts alone. `stratified`: the image's own term has weight 1/N, one other stands for all that are not in
    the batch, and the rest have 1/(M - 1) each, so that the weights add up to one. Processes share their images.

    Reference: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders" (2018), equations 2 and 4
    and appendix C.

    Args:
        tc: Weight of the total correlation, called beta in the paper.
        mi: Weight of the mutual information of index and latent (alpha).
        dw: Weight of the divergence of every unit (gamma).
        sampling: `weighted` or `stratified`.
        images: Training images N; None takes the batch for the data, for `weighted` alone.

    Raises:
        ValueError: an argument is out of range.
    """

    whole_batches = "model/bound=beta_tc"

    def __init__(
        self, tc: float = 6.0, mi: float = 1.0, dw: float = 1.0, sampling: str = "weighted", images: int | None = None
    ) -> None:
        for name, value in (("tc", tc), ("mi", mi), ("dw", dw)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
        if images is None and sampling == "stratified":
            raise ValueError("images must be the number of training images with sampling stratified, got null")
        if images is not None and images < 1:
            raise ValueError(f"images must be at least 1, got {images}")
        self.tc, self.mi, self.dw, self.sampling, self.images = tc, mi, dw, sampling, images

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too but for Gaussians of independent units."""
        super().require(posterior, prior)
        if not isinstance(posterior, Diagonal):
            raise ValueError(f"posterior must be diagonal for bound TotalCorrelation, got {type(posterior).__name__}")

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), and the three parts (B,) in nats."""
        if not isinstance(evidence.law, DiagonalGaussian):
            raise TypeError(f"law must be a DiagonalGaussian, got {type(evidence.law).__name__}")
        parts = self.parts(evidence.law, evidence.latent[:, 0], evidence.log_q[:, 0], evidence.log_p[:, 0])
        penalty = sum(weight * parts[name] for name, weight in (("mi", self.mi), ("tc", self.tc), ("dw", self.dw)))
        return {"loss": evidence.reconstruction.mean(1) + beta * penalty, **parts}

    def parts(self, law: DiagonalGaussian, latent: Tensor, log_q: Tensor, log_p: Tensor) -> Terms:
        """`mi`, `tc` and `dw` (B,), which add up to log q(z | x) - log p(z).

        Args:
            law: q(z | x) of a batch.
            latent: A draw (B, D) of every image.
            log_q: log q(z | x) of it (B,).
            log_p: log p(z) of it (B,).
        """
        everyone = DiagonalGaussian(of_all(law.mean), of_all(law.log_variance))
        units = everyone.log_prob_per_unit(latent[:, None])  # (B, M, D)
        weights = self._log_weights(len(latent), units.shape[1], first_row(len(latent))).to(units)
        joint = torch.logsumexp(units.sum(2) + weights, 1)
        marginals = torch.logsumexp(units + weights[..., None], 1).sum(1)
        return {"mi": log_q - joint, "tc": joint - marginals, "dw": marginals - log_p}

    def _log_weights(self, rows: int, count: int, first: int) -> Tensor:
        """Logs of the weights (rows, count) of the images of a batch in q(z), float64."""
        total = count if self.images is None else self.images
        if self.sampling == "weighted" or count == 1:
            return torch.full((rows, count), -math.log(total * count if self.images else count), dtype=torch.float64)
        others = count - 1
        weights = torch.full((rows, count), 1 / others, dtype=torch.float64)
        own = torch.arange(rows) + first
        weights[torch.arange(rows), own] = 1 / total
        weights[torch.arange(rows), (own + 1) % count] = max(total - others, 0) / (total * others)
        return weights.log()
