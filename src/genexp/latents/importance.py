"""Bounds of the evidence by several latents an image, weighted by how well they explain it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from genexp.latents.bounds import Bound
from genexp.latents.evidence import Evidence, Terms
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior

ESTIMATORS = ("standard", "doubly_reparameterised")


class ImportanceWeighted(Bound):
    """log 1/K sum_k w_k, w_k = p(x, z_k) / q(z_k | x), z_k ~ q(z | x): the ELBO for K = 1, rising with K to log p(x).

    With beta other than 1 the weights are p(x | z) (p(z) / q(z | x))^beta. The doubly reparameterised estimator has the
    same decoder gradient; that of the encoder has the same mean, and its variance does not grow with K beside it.

    References: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (2016), equation 8; Tucker et al.,
    "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives" (2019), equation 8.

    Args:
        samples: Latents K of an image, at least 1.
        estimator: Of the gradient: `standard` or `doubly_reparameterised`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, samples: int = 5, estimator: str = "standard") -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1 latent an image, got {samples}")
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
        self.samples, self.estimator = samples, estimator

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too for relaxed latents, and where the estimator needs q of given ones."""
        super().require(posterior, prior)
        name = type(posterior).__name__
        if posterior.relaxed:
            raise ValueError(
                f"bound must be of latents that have weights, got ImportanceWeighted with posterior {name}"
            )
        if self.estimator != "standard" and not posterior.explicit:
            rule = f"standard for posterior {name}, whose density is known of its own draws alone"
            raise ValueError(f"estimator must be {rule}, got {self.estimator}")

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The negative bound (B,), and the `bound` itself with beta = 1."""
        if self.estimator == "standard":
            loss = -mean_weight(self._log_weights(evidence, evidence.log_q, beta))
        else:
            weights = self._log_weights(evidence, evidence.density(evidence.latent), beta)
            share = weights.detach().softmax(1)
            if evidence.drawn.requires_grad:
                evidence.drawn.register_hook(_times(share.flatten()[:, None]))
            surrogate = -(share * weights).sum(1)
            loss = surrogate - surrogate.detach() - mean_weight(weights.detach())
        return {"loss": loss, **self.held_out(evidence)}

    def held_out(self, evidence: Evidence) -> Terms:
        """The `bound` (B,) in nats, with beta = 1."""
        return {"bound": mean_weight(evidence.log_weights).detach()}

    @staticmethod
    def _log_weights(evidence: Evidence, log_q: Tensor, beta: float) -> Tensor:
        return beta * (evidence.log_p - log_q) - evidence.reconstruction


def mean_weight(log_weights: Tensor) -> Tensor:
    """log of the mean of weights given by their logs (B, K), as (B,)."""
    return torch.logsumexp(log_weights, 1) - math.log(log_weights.shape[1])


def _times(share: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * share.to(gradient.dtype)
