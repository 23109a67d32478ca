"""Values of a model itself: what it says of held-out data, with nothing generated."""

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch, Density
from genexp.evaluation.dealing import BY_INDEX, group_numbers, within_classes
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.base import BesideOthers, Curve, LearnsFirst, MetricKind, ModelMetric, OfFactors, Value
from genexp.evaluation.pairing import mean_of
from genexp.evaluation.protocol import IMAGES, Protocol, describe
from genexp.evaluation.scores import Score
from genexp.tensors import IndexedNoise, to_levels

SPLITS = ("train", "val", "test")

FACTOR = "factor."
"""Begins the names of a batch's entries with the levels (B,) of a known factor."""

SPARSE = "of which the data have"
"""Words of a protocol before the number of levels that occur, where these are few."""


def require_split(split: str) -> str:
    """The name of a split.

    Raises:
        ValueError: it is none.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return split


class OfModel:
    """What metrics of a model share: a split of the data that it learned from, and what it must be to be measured.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    kind: ClassVar[MetricKind] = "model"
    measured: ClassVar[type]
    """What a model must be, a protocol."""

    def __init__(self, split: str = "val") -> None:
        self.split = require_split(split)

    def require(self, model: object) -> None:
        """Check that the model is what is `measured`.

        Raises:
            TypeError: it is not.
        """
        if not isinstance(model, self.measured):
            raise TypeError(f"{type(self).__name__} measures a {self.measured.__name__}, got {type(model).__name__}")


@typing.runtime_checkable
class MayLackDensity(typing.Protocol):
    """A model that is a `Density` by some of its settings only."""

    def require_density(self) -> None:
        """Raise TypeError, naming the setting, where `log_prob` is of nothing."""
        ...


class Leveled(typing.Protocol):
    """A model of pixels that take one of `levels` values, or real ones where that is None."""

    levels: int | None


class OfLevels(OfModel):
    """What metrics share whose values are those of levels: nats of fewer or more of them are other numbers."""

    def over(self, model: Leveled) -> str:
        """What p is a distribution over."""
        return "values in [-1, 1]" if model.levels is None else f"{model.levels} levels"

    def sparse(self, model: Leveled, data: ImageSet) -> str:
        """A word on data that keep to few of the levels, as digits of 17 greys do to those of 256; else nothing."""
        if model.levels is None:
            return ""
        seen = torch.zeros(model.levels, dtype=torch.bool)
        for batch in data.batches():
            seen[to_levels(batch["image"], model.levels).unique().cpu()] = True
        found = int(seen.sum())
        return f", {SPARSE} {found}" if 2 * found <= model.levels else ""


class OfDensity(OfLevels):
    """What metrics share that measure a density."""

    measured = Density

    def require(self, model: object) -> None:
        """Check that the model has a density.

        Raises:
            TypeError: it has none.
        """
        super().require(model)
        if isinstance(model, MayLackDensity):
            model.require_density()


def scores_of_model(
    metrics: Mapping[str, ModelMetric],
    model: object,
    split: Callable[[str], ImageSet],
    seed: int,
    weights: str,
) -> dict[str, Score]:
    """The values that a model has of some metrics, under the keys of their protocols.

    Args:
        metrics: The metrics by name.
        model: The model, in evaluation mode.
        split: Opens a split of the data that it learned from, on the model's device.
        seed: Seed of what the metrics draw.
        weights: `averaged` or `raw`.

    Raises:
        TypeError: the model does not have what a metric measures.
    """
    scores: dict[str, Score] = {}
    for metric in metrics.values():
        metric.require(model)
        data = split(metric.split)
        known = ""
        if isinstance(metric, LearnsFirst):
            labelled = split(metric.learn_from)
            labelled = labelled if metric.num is None else labelled.sample(metric.num)
            known = f", from {labelled.name} {labelled.digest}"
            metric = metric.learned(model, grouped(labelled), seed)
        if isinstance(metric, BesideOthers):
            foreign = split(metric.other)
            known = f", beside {foreign.name} {foreign.digest}"
            metric = metric.beside(foreign, data)
        subject = metric.subject(model) + (metric.sparse(model, data) if isinstance(metric, OfLevels) else "") + known
        for name, value in metric.compute(model, grouped(data), seed).items():
            protocol = _protocol(name, metric, subject, data, seed, weights)
            scores[protocol.key] = Score(protocol, value, metric.values[name])
    return scores


def require_data(metrics: Mapping[str, ModelMetric], labelled: bool, factored: bool, others: bool) -> None:
    """Refuse metrics that look at what there is not.

    Args:
        metrics: The metrics by name.
        labelled: Whether the data have labels.
        factored: Whether they have known factors.
        others: Whether other data can be opened.

    Raises:
        ValueError: one looks at what there is not.
    """
    for name, metric in metrics.items():
        if isinstance(metric, LearnsFirst) and not labelled:
            raise ValueError(f"metrics must be without {name} on data without labels, which it learns from")
        if isinstance(metric, OfFactors) and not factored:
            raise ValueError(f"metrics must be without {name} on data without known factors, as data=shapes has them")
        if isinstance(metric, BesideOthers) and not others:
            raise ValueError(f"metrics must be without {name} in training: genexp evaluate opens other data")


def over_images(
    batches: Iterable[Batch], seed: int, measure: Callable[[Batch, IndexedNoise], Tensor]
) -> tuple[Tensor, Tensor, int]:
    """What `measure` says of every image of a whole set, (N, ...) on the CPU, their groups (N,), and their values each.

    Args:
        batches: The set.
        seed: Seed of the noise, which depends on (seed, i) alone for image i.
        measure: Gives numbers (B, ...) of a batch.
    """
    found, groups, dimensions, seen = [], [], 1, 0
    for batch in batches:
        image = batch["image"]
        noise = IndexedNoise(seed, range(seen, seen + len(image)), image.device)
        found.append(measure(batch, noise).cpu())
        groups.append(batch["group"])
        dimensions, seen = image[0].numel(), seen + len(image)
    return torch.cat(found), torch.cat(groups), dimensions


def mean_over_images(
    measured: Tensor,
    group: Tensor,
    unit: str = "",
    limits: tuple[float, float] = (-inf, inf),
    curve: Curve | None = None,
) -> Value:
    """The mean of one number (N,) an image, with pseudo-values over the groups (N,) of the images."""
    return replace(mean_of(measured, group.cpu()), unit=unit, limits=limits, curve=curve)


def grouped(data: ImageSet) -> Iterator[Batch]:
    """The batches of a set with the group of every image, dealt within classes where these are known, and factors."""
    dealt, seen = data.dealt(), 0
    for batch in dealt.batches():
        count = len(batch["image"])
        known = {f"{FACTOR}{name}": levels[seen : seen + count] for name, levels in (data.factors or {}).items()}
        yield {"group": group_numbers(torch.arange(seen, seen + count)), **known, **batch}
        seen += count


def _protocol(name: str, metric: ModelMetric, subject: str, data: ImageSet, seed: int, weights: str) -> Protocol:
    classes = 0 if not data.labelled else len(data.classes().unique())
    return Protocol(
        metric=name,
        settings=f"{describe(metric)}: {subject}",
        extractor=IMAGES,
        extractor_digest="none",
        input_size=0,
        resize="none",
        quantiser="none",
        reference=data.name,
        reference_digest=data.digest,
        n_reference=data.count,
        n_generated=0,
        seed=seed,
        weights=weights,
        sampler="none",
        dealing=within_classes(classes) if classes else BY_INDEX,
    )
