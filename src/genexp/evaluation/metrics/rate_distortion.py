"""What the latents of images cost, and what they leave open."""

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.contracts import Batch, Noise
from genexp.evaluation.latent_models import CodedInParts, GaussianCoded, GivenLatents
from genexp.evaluation.metrics.base import DISTANCE, Better, Curve, Value
from genexp.evaluation.over_model import OfDensity, mean_over_images, over_images, require_split

SHARPNESS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Powers t of q(z | x) / p(z) on the curve: 0 is the prior, 1 the posterior."""


@runtime_checkable
class GaussianDecoded(GaussianCoded, GivenLatents, Protocol):
    """A model whose posteriors can be moved towards its prior."""


class RateDistortion(OfDensity):
    """`rate`, the KL divergence of an image's posterior from the prior, and `distortion`, -log p(x | z) there, in nats.

    Their sum is the bound on -log p(x). The details `rate_0`, `rate_1`, ... are the rates of the parts of the latent
    (units; layers of a hierarchy), which add up. Where posterior and prior are Gaussian, `distortion` has a curve over
    `rate`: the pairs that this decoder reaches with latents from q_t(z | x) in proportion to
    p(z) (q(z | x) / p(z))^t, for t from 0, the prior, to 1, the posterior. Every pair is reached, so the curve
    bounds the rate-distortion function of prior and decoder from above; it is no optimum anywhere.

    References: Alemi et al., "Fixing a Broken ELBO" (2018); Huang et al., "Evaluating Lossy Compression Rates of Deep
    Generative Models" (2020), section 3, for curves of one trained model.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        curve: Whether the curve is computed, at the cost of nine passes of the decoder.
    """

    values: ClassVar[dict[str, Better]] = {"rate": "lower", "distortion": "lower"}

    def __init__(self, split: str = "val", curve: bool = True) -> None:
        self.split, self._curve = require_split(split), curve

    def require(self, model: object) -> None:
        """Check that the model's bound has these parts.

        Raises:
            TypeError: it has not.
        """
        if not isinstance(model, CodedInParts):
            raise TypeError(f"{type(self).__name__} measures rate and distortion, got {type(model).__name__}")
        super().require(model)

    def subject(self, model: CodedInParts) -> str:
        """What p is a distribution over."""
        return self.over(model)

    @torch.no_grad()
    def compute(self, model: CodedInParts, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values, with the interval of other held-out images."""
        curved = self._curve and isinstance(model, GaussianDecoded) and model.gaussian_latents

        def measure(batch: Batch, noise: Noise) -> Tensor:
            observed = model.observe(batch, noise)
            distortion, rates = model.code_lengths(observed)
            pairs = _pairs(model, observed, noise) if curved else rates[:, :0]
            return torch.cat([pairs.cpu(), distortion[:, None].cpu(), rates.cpu()], 1).double()

        found, group, _ = over_images(batches, seed, measure)
        points = 2 * len(SHARPNESS) if curved else 0
        pairs, distortion, rates = found.tensor_split([points, points + 1], 1)
        details = {f"rate_{part}": float(nats) for part, nats in enumerate(rates.mean(0))}
        rate = replace(mean_over_images(rates.sum(1), group, "nats", limits=DISTANCE), details=details)
        curve = _curve(pairs) if curved else None
        return {"rate": rate, "distortion": mean_over_images(distortion[:, 0], group, "nats", curve=curve)}


def _pairs(model: GaussianDecoded, batch: Batch, noise: Noise) -> Tensor:
    """Rate and distortion (B, 2 * points) at every sharpness, one after the other, with one draw an image."""
    posterior = model.posterior(batch["image"], model.conditioning.told(batch))
    drawn, found = noise.normal(*model.latent_shape), []
    for t in SHARPNESS:
        precision = 1 - t + t * (-posterior.log_variance).exp()
        mean = t * posterior.mean * (-posterior.log_variance).exp() / precision
        rate = (mean.square() + 1 / precision - 1 + precision.log()).flatten(1).sum(1) / 2
        distortion = -model.log_likelihood(batch, mean + drawn / precision.sqrt())
        found += [rate, distortion]
    return torch.stack(found, 1)


def _curve(pairs: Tensor) -> Curve:
    mean, error = pairs.mean(0), pairs.std(0) / len(pairs) ** 0.5
    columns = {"sharpness": list(SHARPNESS), "rate": mean[0::2].tolist(), "distortion": mean[1::2].tolist()}
    return Curve("rate", "distortion", {**columns, "standard_error": error[1::2].tolist()})
