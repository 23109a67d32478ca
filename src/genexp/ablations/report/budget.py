"""What a search is worth: the best of k settings on average, for every k."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from genexp.ablations.report.study import Labels, Study
from genexp.ablations.report.values import MetricValues, variants


@dataclass(frozen=True)
class BudgetCurve:
    """The expected best of k settings of one variant.

    Args:
        labels: The variant.
        means: Mean over seeds for k = 1, 2, ...; None where k settings may all have diverged.
        ranges: Smallest and largest over seeds; None where there is no mean.
        seeds: Seeds that have a value for every setting.
    """

    labels: Labels
    means: list[float | None]
    ranges: list[tuple[float, float] | None]
    seeds: list[int]


def expected_best(values: list[float], badness: Callable[[float], float]) -> list[float | None]:
    r"""The mean of the best of k different settings over all choices of k, for k = 1 ... S.

    With values sorted from best to worst, $E_k = \sum_i v_{(i)} \binom{S - i}{k - 1} / \binom S k$.

    Args:
        values: The value of each of S settings; one that is no number counts as the worst.
        badness: A function that is smallest at the best value.
    """
    ordered = sorted(values, key=lambda value: math.inf if math.isnan(value) else badness(value))
    count = len(ordered)
    curve: list[float | None] = []
    for k in range(1, count + 1):
        weights = [math.comb(count - i, k - 1) / math.comb(count, k) for i in range(1, count + 1)]
        terms = [weight * value for weight, value in zip(weights, ordered, strict=True) if weight]
        curve.append(sum(terms) if all(math.isfinite(term) for term in terms) else None)
    return curve


def budget_curves(study: Study, metric: MetricValues) -> list[BudgetCurve]:
    """A curve for every variant with a complete seed; none without a search or without a known direction."""
    if study.search is None or metric.badness is None:
        return []
    found = []
    for labels in variants(study):
        inside = [each for each in variants(study, labels, with_search=True)]
        held = [metric.values.get(each, {}) for each in inside]
        seeds = sorted(set.intersection(*(set(each) for each in held)))
        curves = [expected_best([each[seed] for each in held], metric.badness) for seed in seeds]
        if curves:
            columns = [[each for each in column] for column in zip(*curves, strict=True)]
            means = [None if None in column else fmean(column) for column in columns]
            ranges = [None if None in column else (min(column), max(column)) for column in columns]
            found.append(BudgetCurve(labels, means, ranges, seeds))
    return found
