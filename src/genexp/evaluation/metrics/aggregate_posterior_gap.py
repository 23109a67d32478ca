"""How far the latents of the data, taken together, are from the prior that a decoder is drawn with."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.evaluation.latent_models import GaussianCoded, OfGaussians
from genexp.evaluation.metrics.active_units import posteriors
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import mean_over_images, require_split
from genexp.tensors import IndexedNoise

_ROWS = 512
"""Latents whose densities under all posteriors are held at once."""


class AggregatePosteriorGap(OfGaussians):
    """`aggregate_gap` = KL(q(z) || p(z)) in nats, of q(z) = 1/N sum_n q(z | x_n) over the N images of the split.

    What `rate_distortion` calls the rate is this gap and the information that a latent has of the number of its image,
    `index_information`, which is at most log N; both add up to the mean of log q(z | x_n) - log p(z). One latent an
    image is drawn, and its q(z) is the whole sum: what minibatch-weighted and minibatch-stratified estimates become
    when the minibatch is the split. Traps: with few images q(z) is a comb of narrow peaks, the information stays near
    log N and the gap is above that of infinitely many images: compare at equal N, which the protocol tells; a gap says
    where samples of the prior fall, not how they look.

    References: Hoffman and Johnson, "ELBO Surgery" (2016), equation 8; Chen et al., "Isolating Sources of
    Disentanglement in Variational Autoencoders" (2018), appendix C.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        num: Images that are used at most, the first of the split; the cost rises with the square.

    Raises:
        ValueError: the split is unknown, or `num` below 2.
    """

    values: ClassVar[dict[str, Better]] = {"aggregate_gap": "lower", "index_information": "higher"}

    def __init__(self, split: str = "val", num: int = 10_000) -> None:
        if num < 2:
            raise ValueError(f"num must be at least 2 images, got {num}")
        self.split, self.num = require_split(split), num

    def subject(self, model: GaussianCoded) -> str:
        """How many units a latent has, and how the estimate is made."""
        return f"latents of {torch.Size(model.latent_shape).numel()}, all posteriors for every latent"

    @torch.no_grad()
    def compute(self, model: GaussianCoded, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values, with the interval of other images."""
        mean, log_variance, group = (found[: self.num] for found in posteriors(model, batches, seed))
        noise = IndexedNoise(seed + 1, range(len(mean))).normal(mean.shape[1]).double()
        latent = mean + (log_variance / 2).exp() * noise
        own = _log_density(latent, mean, log_variance)
        aggregate = torch.cat([_log_mixture(rows, mean, log_variance) for rows in latent.split(_ROWS)])
        prior = _log_density(latent, torch.zeros_like(mean), torch.zeros_like(mean))
        information = mean_over_images(own - aggregate, group, "nats", limits=(0.0, math.log(len(mean))))
        details = {"most": math.log(len(mean)), "images": float(len(mean))}
        return {
            "aggregate_gap": mean_over_images(aggregate - prior, group, "nats", limits=(0.0, math.inf)),
            "index_information": replace(information, details=details),
        }


def _log_density(latent: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, variance) (N,) in nats of one latent (N, D) each."""
    square = (latent - mean).square() * (-log_variance).exp()
    return -(square + log_variance + math.log(2 * math.pi)).sum(1) / 2


def _log_mixture(latent: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log 1/N sum_n N(z; mean_n, variance_n) (B,) of latents (B, D), by products of matrices in float64."""
    precision = (-log_variance).exp()
    square = latent.square() @ precision.T - 2 * latent @ (mean * precision).T + (mean.square() * precision).sum(1)
    constant = (log_variance + math.log(2 * math.pi)).sum(1)
    return (-(square + constant) / 2).logsumexp(1) - math.log(len(mean))
