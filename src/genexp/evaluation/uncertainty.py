"""How far a value may be off: bias and intervals by leaving groups of samples out, paired tests, and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
"""The level of every interval."""


@dataclass(frozen=True)
class ConfidenceInterval:
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
class PairedDifference:
    """A paired comparison of two runs.

    Args:
        difference: First minus second, with its interval.
        p_value: Probability of at least such a difference if there were none, two-sided.
        pairs: Number of pairs it rests on.
    """

    difference: ConfidenceInterval
    p_value: float
    pairs: int


def pseudo_values(whole: float, without: Sequence[float], sizes: Sequence[int] | None = None) -> list[float]:
    r"""The jackknife's pseudo-values of a value w and of the same value w_{-g} with each group g left out.

    Their mean is the value without its bias of order 1 / n, and they behave like G independent draws of it. For equal
    groups they are G w - (G - 1) w_{-g}. For groups of m_g of n samples, with s_g = m_g G / n and
    e_g = (n - m_g) G / n (w - w_{-g}), they are w + e_g - (s_g - 1) mean(e): then the mean of a linear value is the
    value itself, and a bias c / n is gone from every one of them, for any sizes.

    Reference: Quenouille, "Notes on Bias in Estimation" (1956); Tukey, "Bias and Confidence in not quite Large Samples"
    (1958).

    Args:
        whole: The value from all samples.
        without: The values with one group left out each.
        sizes: Samples in every group, at least one; None where all are of one size.

    Raises:
        ValueError: there are fewer than two groups, a group is empty, or there is not one size a group.
    """
    groups = len(without)
    if groups < 2:
        raise ValueError(f"without must hold at least 2 values, got {groups}")
    sizes = [1] * groups if sizes is None else sizes
    if len(sizes) != groups or min(sizes) < 1:
        raise ValueError(f"sizes must be {groups} numbers of at least 1, one a group, got {list(sizes)}")
    mean_size = fmean(sizes)
    shares = [size / mean_size for size in sizes]
    effects = [(groups - share) * (whole - value) for share, value in zip(shares, without, strict=True)]
    bias = fmean(effects)
    return [whole + effect - (share - 1) * bias for share, effect in zip(shares, effects, strict=True)]


def interval(draws: Sequence[float]) -> ConfidenceInterval:
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
    return ConfidenceInterval(mean, error, mean - reach, mean + reach)


def paired(first: Sequence[float], second: Sequence[float]) -> PairedDifference:
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
    return PairedDifference(difference, p_value, len(first))


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation (n - 1) and number of the values of several training seeds.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("values must hold at least one seed, got none")
    return {"mean": fmean(values), "std": stdev(values) if len(values) > 1 else float("nan"), "n": len(values)}
