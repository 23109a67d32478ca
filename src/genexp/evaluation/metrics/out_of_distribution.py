"""Whether a model finds its own data more likely than others."""

from collections.abc import Callable, Iterable
from copy import copy
from typing import ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import Conditioning
from genexp.contracts import Batch, Density
from genexp.evaluation.dealing import GROUPS
from genexp.evaluation.images import ImageSet
from genexp.evaluation.jackknife import groups_to_leave_out, sizes_of
from genexp.evaluation.metrics.base import SHARE, Better, Curve, Value
from genexp.evaluation.over_model import OfDensity, grouped, over_images, require_split
from genexp.evaluation.uncertainty import pseudo_values

_BINS = 30


@runtime_checkable
class ToldDensity(Density, Protocol):
    """A density that says what it is told of an image."""

    conditioning: Conditioning


class OutOfDistribution(OfDensity):
    """`ood_auroc`: the probability that an image of the split is more likely under the model than one of other data.

    Ties count one half. 1 tells all foreign images by their likelihood, 0.5 none, and below 0.5 they are *more* likely
    than the model's own, which is common and no error: smooth images are likely under models of detailed ones. The
    histograms of log p(x) in nats come as a picture and a table. Of a model with a bound it is the bound that is
    compared. Other data pass through what the model does to its own: they are taken at its number of levels.

    Reference: Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?" (2019).

    Args:
        other: The other images, of the shape of the model's own: a data set with or without its split, as in
            `fashion_mnist:test`, or a folder.
        split: `train`, `val` or `test` of the data that the model learned from.

    Raises:
        ValueError: the split is unknown.
    """

    values: ClassVar[dict[str, Better]] = {"ood_auroc": "higher"}

    def __init__(self, other: str, split: str = "val") -> None:
        self._foreign: Callable[[], Iterable[Batch]] | None = None
        self.other, self.split = other, require_split(split)

    def require(self, model: object) -> None:
        """Check that the model has a likelihood and is told nothing.

        Raises:
            TypeError: it has none, or it is told what other data may not have.
        """
        super().require(model)
        if not isinstance(model, ToldDensity):
            raise TypeError(f"{type(self).__name__} measures what says its conditions, got {type(model).__name__}")
        if model.conditioning.names:
            raise TypeError(f"{type(self).__name__} measures a density that is told nothing, got {model.conditioning}")

    def subject(self, model: Density) -> str:
        """What p is a distribution over, and whether its values are exact."""
        return f"{self.over(model)}, {'exact' if model.exact else 'bound'}"

    def beside(self, foreign: ImageSet, own: ImageSet) -> Self:
        """The same measure with the other images at hand.

        Raises:
            ValueError: they are of another shape.
        """
        if foreign.shape != own.shape:
            raise ValueError(
                f"other must be images of the shape {own.shape}, got {foreign.name} of {foreign.shape} in {self.other}"
            )
        made = copy(self)
        made._foreign = lambda: grouped(foreign)
        return made

    @torch.no_grad()
    def compute(self, model: Density, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The value with its histograms, and the interval of other images on both sides.

        Raises:
            RuntimeError: no other images were given before.
        """
        if self._foreign is None:
            raise RuntimeError("OutOfDistribution must be given other images before it computes")

        def measure(batch: Batch, noise: object) -> Tensor:
            return model.log_prob(model.observe(batch, noise)).double()

        own, group, _ = over_images(batches, seed, measure)
        foreign, foreign_group, _ = over_images(self._foreign(), seed, measure)
        value, draws = auroc(own, foreign), ()
        members, others = groups_to_leave_out(group), groups_to_leave_out(foreign_group)
        if members and others:
            without = [auroc(own[group != g], foreign[foreign_group != g]) for g in range(GROUPS)]
            sizes = [a + b for a, b in zip(sizes_of(members), sizes_of(others), strict=True)]
            draws = tuple(pseudo_values(value, without, sizes))
        details = {"own": float(own.mean()), "other": float(foreign.mean()), "other_images": float(len(foreign))}
        return {"ood_auroc": Value(value, draws, details, SHARE, curve=_histograms(own, foreign))}


def auroc(higher: Tensor, lower: Tensor) -> float:
    """P(a > b) + P(a = b) / 2 of one number of each of two sets (N,) and (M,).

    Reference: Mann and Whitney (1947): the area under the curve of hits over false alarms.
    """
    lower = lower.sort().values
    below = torch.searchsorted(lower, higher, right=False) + torch.searchsorted(lower, higher, right=True)
    return float(below.double().mean() / (2 * len(lower)))


def _histograms(own: Tensor, foreign: Tensor) -> Curve:
    """Shares of both sets in bins of log p(x), by the middles of the bins."""
    both = torch.cat([own, foreign])
    low, high = float(both.min()), float(both.max())
    high = high if high > low else low + 1
    width = (high - low) / _BINS
    middles = [low + (bin + 0.5) * width for bin in range(_BINS)]
    shares = [(torch.histc(each, _BINS, low, high) / len(each)).tolist() for each in (own, foreign)]
    return Curve("log_likelihood", "share", {"log_likelihood": middles, "share": shares[0], "other": shares[1]})
