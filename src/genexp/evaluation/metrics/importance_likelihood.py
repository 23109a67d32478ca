"""How likely held-out data are under a model with latents, by importance sampling: closer than its bound."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch, Noise
from genexp.evaluation.latent_models import LatentDensity
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import OfDensity, mean_over_images, over_images, require_split


class ImportanceLikelihood(OfDensity):
    """`importance_nll` = -log 1/k sum_j p(x, z_j) / q(z_j | x) in nats, averaged over images, z_1 .. z_k ~ q(z | x).

    Its mean over draws is a bound on -log p(x) from above that never rises with k and reaches it as k goes to infinity;
    with k = 1 it is the negative evidence lower bound. `importance_bits_per_dim` is that over D log 2 for D pixel
    values, where these have levels. Values of other k have other protocols. The detail `effective_samples` is the mean
    over images of (sum w)^2 / sum w^2: where it is near 1 a single draw decides, and a larger k would still lower the
    value. The interval is of other held-out images; what the draws add is part of it.

    Reference: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (2016), section 3 and appendix A.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        samples: k, latents drawn for every image.
        chunk: Latents of an image that are drawn and held at once.

    Raises:
        ValueError: the split is unknown, or a number is below 1.
    """

    values: ClassVar[dict[str, Better]] = {"importance_nll": "lower", "importance_bits_per_dim": "lower"}

    def __init__(self, split: str = "val", samples: int = 100, chunk: int = 10) -> None:
        self.split = require_split(split)
        for name, number in (("samples", samples), ("chunk", chunk)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        self.samples, self.chunk = samples, chunk

    def require(self, model: object) -> None:
        """Check that the model weighs latents.

        Raises:
            TypeError: it does not.
        """
        if not isinstance(model, LatentDensity):
            raise TypeError(f"{type(self).__name__} measures a density with latents, got {type(model).__name__}")
        super().require(model)

    def subject(self, model: LatentDensity) -> str:
        """What p is a distribution over, and that this is a bound."""
        return f"{self.over(model)}, bound from above that tightens with samples"

    @torch.no_grad()
    def compute(self, model: LatentDensity, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values, with the interval of other held-out images."""

        def measure(batch: Batch, noise: Noise) -> Tensor:
            weights = self._log_weights(model, model.observe(batch, noise), noise)
            total = weights.logsumexp(1)
            effective = (2 * total - (2 * weights).logsumexp(1)).exp()
            return torch.stack([math.log(self.samples) - total, effective], 1)

        measured, group, dimensions = over_images(batches, seed, measure)
        nats, details = measured[:, 0], {"effective_samples": float(measured[:, 1].mean())}
        values = {"importance_nll": replace(mean_over_images(nats, group, "nats"), details=details)}
        if model.levels is not None:
            bits = mean_over_images(nats / (dimensions * math.log(2)), group, "bits")
            values["importance_bits_per_dim"] = bits
        return values

    def _log_weights(self, model: LatentDensity, batch: Batch, noise: Noise) -> Tensor:
        """Weights (B, k) in float64."""
        parts = [min(self.chunk, self.samples - begin) for begin in range(0, self.samples, self.chunk)]
        return torch.cat([model.log_weights(batch, noise, count).double() for count in parts], 1)
