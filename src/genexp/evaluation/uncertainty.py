"""How far a value may be off: bias and intervals by leaving groups of samples out, paired tests, and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
"""The level of every interval."""


@dataclass(frozen=True)
class Interval:
    """An estimate with a standard error and a two-sided 95 % interval.

    Args:
        value: The estimate.
        error: Its standard error.
        low: Lower end.
        high: Upper end.
    """

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two runs.

    Args:
        difference: First minus second, with its interval.
        p_value: Probability of at least such a difference if there were none, two-sided.
        pairs: Number of pairs it rests on.
    """

    difference: Interval
    p_value: float
    pairs: int


def pseudo_values(whole: float, without: Sequence[float]) -> list[float]:
    r"""The jackknife's pseudo-values G w - (G - 1) w_{-g} of a value and of the same value with each group left out.

    Their mean is the value without its bias of order 1 / n, and they behave like G independent draws of it.

    Reference: Quenouille, "Notes on Bias in Estimation" (1956); Tukey, "Bias and Confidence in not quite Large Samples"
    (1958).

    Args:
        whole: The value from all samples.
        without: The values with one group left out each; the groups are of nearly equal size.

    Raises:
        ValueError: there are fewer than two groups.
    """
    groups = len(without)
    if groups < 2:
        raise ValueError(f"without must hold at least 2 values, got {groups}")
    return [groups * whole - (groups - 1) * value for value in without]


def interval(draws: Sequence[float]) -> Interval:
    """The mean of independent draws with Student's interval.

    Args:
        draws: Pseudo-values of a jackknife, or one value a seed.

    Raises:
        ValueError: there are fewer than two draws.
    """
    if len(draws) < 2:
        raise ValueError(f"draws must hold at least 2 values for an interval, got {len(draws)}")
    mean, error = fmean(draws), stdev(draws) / len(draws) ** 0.5
    reach = float(stdtrit(len(draws) - 1, (1 + CONFIDENCE) / 2)) * error
    return Interval(mean, error, mean - reach, mean + reach)


def paired(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Student's paired test between two runs.

    What pairs share cancels: sample i of two runs has the same noise, and seed s of two variants the same data order.

    Args:
        first: Pseudo-values, or one value a seed, of one run.
        second: Those of the other, in the same order of groups or seeds.

    Raises:
        ValueError: the numbers of values differ or are below two.
    """
    if len(first) != len(second):
        raise ValueError(f"first and second must be pairs, got {len(first)} and {len(second)} values")
    difference = interval([a - b for a, b in zip(first, second, strict=True)])
    if difference.error == 0:
        p_value = 1.0 if difference.value == 0 else 0.0
    else:
        p_value = 2 * float(stdtr(len(first) - 1, -abs(difference.value) / difference.error))
    return Comparison(difference, p_value, len(first))


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation (n - 1) and number of the values of several training seeds.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("values must hold at least one seed, got none")
    return {"mean": fmean(values), "std": stdev(values) if len(values) > 1 else float("nan"), "n": len(values)}
