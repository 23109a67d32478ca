"""How many units of a latent say anything of the image."""

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.evaluation.jackknife import centred_draws, groups_to_leave_out, sizes_of
from genexp.evaluation.latent_models import GaussianCoded, OfGaussians
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import over_images, require_split


class ActiveUnits(OfGaussians):
    """`active_units`: units whose posterior mean varies over images by more than `threshold`.

    The details `variance_0`, `variance_1`, ... are these variances, `kl_0`, `kl_1`, ... the mean KL divergence of every
    unit from the standard normal prior in nats. Neither is random. Traps: a unit may carry much and be useless, and a
    model of few units of which all are active beats one of many.

    Reference: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (2016), section 5.2.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        threshold: Variance of the mean that a unit must exceed, above 0; the prior's is 1.

    Raises:
        ValueError: the split is unknown or `threshold` not above 0.
    """

    values: ClassVar[dict[str, Better]] = {"active_units": "higher"}

    def __init__(self, split: str = "val", threshold: float = 0.01) -> None:
        if not threshold > 0:
            raise ValueError(f"threshold must be above 0, got {threshold}")
        self.split, self.threshold = require_split(split), threshold

    def subject(self, model: GaussianCoded) -> str:
        """How many units a latent has."""
        return f"of {torch.Size(model.latent_shape).numel()} units"

    @torch.no_grad()
    def compute(self, model: GaussianCoded, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The number, with the interval of other held-out images."""
        mean, log_variance, group = posteriors(model, batches, seed)
        kl = ((mean.square() + log_variance.expm1() - log_variance) / 2).mean(0)
        moments = torch.stack([torch.ones_like(mean), mean, mean.square()], 1)
        members = groups_to_leave_out(group)
        whole, active = moments.sum(0), self._active(moments.sum(0))
        without = [self._active(whole - moments[own].sum(0)) for own in members]
        draws = centred_draws(active, without, sizes_of(members)) if members else ()
        details = {f"variance_{unit}": float(v) for unit, v in enumerate(_variance(whole))}
        details |= {f"kl_{unit}": float(v) for unit, v in enumerate(kl)}
        return {"active_units": Value(active, draws, details, (0.0, float(mean.shape[1])), "units")}

    def _active(self, moments: Tensor) -> float:
        return float((_variance(moments) > self.threshold).sum())


def _variance(moments: Tensor) -> Tensor:
    """Population variance (D,) of numbers from their count, sum and sum of squares (3, D)."""
    count, total, square = moments
    return (square / count - (total / count).square()).clamp(min=0)


def posteriors(model: GaussianCoded, batches: Iterable[Batch], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Means and log-variances (N, D) of the posteriors of a set in float64, and the groups (N,), on the CPU."""

    def measure(batch: Batch, noise: object) -> Tensor:
        observed = model.observe(batch, noise)
        found = model.posterior(observed["image"], model.conditioning.told(observed))
        return torch.stack([found.mean.flatten(1), found.log_variance.flatten(1)], 1).double()

    found, group, _ = over_images(batches, seed, measure)
    return found[:, 0], found[:, 1], group
