"""The values of a study by metric: one protocol each, a search reduced to its best, and what is missing."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from genexp.ablations.report.study import Labels, Study, StudyValue
from genexp.files.trees import Tree
from genexp.reports.columns import MixedProtocols
from genexp.runs.directions import badness, direction, metric_name
from genexp.runs.markup import digest_text
from genexp.runs.measurements import FREE, MADE_BY

Cells = dict[Labels, dict[int, float]]
"""Variant to seed to number."""


@dataclass(frozen=True)
class MetricValues:
    """All values of one name, measured in one way.

    Args:
        name: As a study's `metrics` or a claim names it.
        key: The full key of its values.
        better: `lower`, `higher`, `reference` or None.
        floors: Smallest and largest value of held-out real images, or None.
        floor_images: The numbers of those images, without repeats.
        protocol: What all its values share (without seed, weights and sampler), or None.
        made_by: Weights and samplers that its images were drawn with, without repeats.
        values: Every variant, settings of a search included.
    """

    name: str
    key: str
    better: str | None
    floors: tuple[float, float] | None
    floor_images: list[int]
    protocol: Tree | None
    made_by: list[tuple[str, str]]
    values: Cells

    @property
    def things(self) -> str:
        """What is measured: `images`, or `points` of a plane."""
        return "points" if (self.protocol or {}).get("extractor") == "coordinates" else "images"

    @property
    def badness(self) -> Callable[[float], float] | None:
        """A function that is smallest at the best value, or None where no direction is known."""
        return badness(self.better, self.floors)


def metric_names(study: Study) -> list[str]:
    """Names of all values of a study, those with a column first."""
    return list(dict.fromkeys([*study.metrics, *(metric_name(each.key) for each in study.values)]))


def metric_of(study: Study, name: str) -> MetricValues | None:
    """The values of one name, or None if there are none.

    Args:
        study: Where to look.
        name: A full key, or the part before its first `/`; `val/...`, `train/...` and `test/...` are always whole.

    Raises:
        MixedProtocols: the values were measured in different ways.
        ValueError: a variant and seed has two values.
    """
    found = [each for each in study.values if name in (each.key, metric_name(each.key))]
    if not found:
        return None
    _require_one_protocol(name, found)
    values: Cells = {}
    for each in found:
        seeds = values.setdefault(each.labels, {})
        if each.seed in seeds:
            where = f"{label_text(each.labels)}, seed {each.seed}"
            raise ValueError(
                f"values must hold one number for each variant, seed and key, got two of {name} for {where}"
            )
        seeds[each.seed] = float(each.value)
    first = found[0]
    recorded = next((each.better for each in found if each.better), None)
    floors = [each.floor for each in found if each.floor is not None]
    made_by = [tuple(str(each.protocol.get(part)) for part in MADE_BY) for each in found if each.protocol]
    return MetricValues(
        name=name,
        key=first.key,
        better=direction(first.key, recorded, {}),
        floors=(min(floors), max(floors)) if floors else None,
        floor_images=sorted({each.floor_images for each in found if each.floor_images is not None}),
        protocol=None if first.protocol is None else _terms(first),
        made_by=list(dict.fromkeys(made_by)),
        values=values,
    )


def _terms(value: StudyValue) -> Tree:
    return {k: v for k, v in (value.protocol or {}).items() if k not in FREE}


def _require_one_protocol(name: str, found: list[StudyValue]) -> None:
    first, mine = found[0], _terms(found[0])
    for other in found[1:]:
        theirs = _terms(other)
        if theirs == mine and other.key == first.key:
            continue
        field = next((k for k in sorted({*mine, *theirs}) if mine.get(k) != theirs.get(k)), "key")
        a, b = (each.key if field == "key" else digest_text(_terms(each).get(field)) for each in (first, other))
        raise MixedProtocols(
            f"values in one column must share a protocol: of {name}, {field} is {a} for {label_text(first.labels)} "
            f"(seed {first.seed}) and {b} for {label_text(other.labels)} (seed {other.seed})"
        )


def label_text(labels: Labels, between: str = ",") -> str:
    """A variant as text, such as `eta=0,steps=10`."""
    return between.join(f"{axis}={value}" for axis, value in labels) or "all"


def variants(study: Study, where: Labels = (), with_search: bool = False) -> list[Labels]:
    """The variants of a study in order.

    Args:
        study: Its axes count.
        where: Axes that are held at one value.
        with_search: Whether every setting of the search is a variant of its own.
    """
    fixed = dict(where)
    axes = {axis: values for axis, values in study.axes.items() if with_search or axis != study.search}
    choices = [[(axis, value) for value in ([fixed[axis]] if axis in fixed else axes[axis])] for axis in axes]
    return [tuple(each) for each in itertools.product(*choices)]


def cells(study: Study, metric: MetricValues, where: Labels = ()) -> Cells:
    """Values by variant and seed, with a search reduced to its best setting.

    Args:
        study: Its axes count.
        metric: The values.
        where: Axes that are held at one value, the search possibly among them.

    Raises:
        ValueError: a search has to be reduced and no direction of its first value is known.
    """
    fixed = study.search is None or study.search in dict(where)
    best = {} if fixed else best_settings(study)
    found: Cells = {}
    for labels in variants(study, where):
        setting = dict(where).get(study.search) if fixed else best[labels]
        inside = dict(labels) | ({} if study.search is None else {study.search: setting})
        held = metric.values.get(tuple((axis, inside[axis]) for axis in study.axes), {})
        found[labels] = {seed: held[seed] for seed in sorted(held)}
    return found


def best_settings(study: Study) -> dict[Labels, str]:
    """The setting of the search that every variant is shown at: the one whose first value is best on average.

    The average is over the seeds that have a value at every setting; a setting that diverged at one of them is the
    worst. All values and claims take this one setting, so that a row is one way to train.

    Raises:
        ValueError: no direction of the first value is known.
    """
    found = {}
    metric = metric_of(study, study.metrics[0])
    if metric is None or metric.badness is None:
        raise ValueError(f"a search must be over values with a known direction, got {study.metrics[0]}")
    for labels in variants(study):
        inside = {dict(each)[study.search]: metric.values.get(each, {}) for each in variants(study, labels, True)}
        common = set.intersection(*(set(held) for held in inside.values()))
        seeds = common or set.union(*(set(held) for held in inside.values()))
        means = {
            setting: _mean_badness([metric.badness(held[seed]) if seed in held else math.inf for seed in seeds])
            for setting, held in inside.items()
        }
        found[labels] = min(means, key=means.get)
    return found


def _mean_badness(each: list[float]) -> float:
    return fmean(each) if each and all(math.isfinite(one) for one in each) else math.inf


def missing_values(study: Study) -> list[str]:
    """What was asked for and has no value, a line for each variant: names, seeds."""
    found: dict[tuple[str, str], list[str]] = {}
    lines = []
    for name in study.metrics:
        metric = metric_of(study, name)
        if metric is None:
            lines.append(f"no value of {name} at all")
            continue
        for labels in variants(study, with_search=True):
            seeds = [seed for seed in study.seeds if seed not in metric.values.get(labels, {})]
            if seeds:
                found.setdefault((label_text(labels), ", ".join(map(str, seeds))), []).append(name)
    for (labels, seeds), names in found.items():
        word = "seeds" if "," in seeds else "seed"
        lines.append(f"no value of {', '.join(names)} for {labels}, {word} {seeds}")
    return lines


def check_study(study: Study) -> None:
    """Refuse a study that a report cannot show.

    Raises:
        ValueError: it has no values, `search` is no axis, or a value's variant is none of the study.
    """
    if not study.values:
        raise ValueError(f"values must hold at least one measured value, got none for {study.name}")
    if study.search is not None and study.search not in study.axes:
        raise ValueError(f"search must be an axis ({', '.join(study.axes)}), got {study.search}")
    known = set(variants(study, with_search=True))
    for each in study.values:
        if each.labels not in known:
            raise ValueError(f"values must belong to variants of the study, got {label_text(each.labels)}")
