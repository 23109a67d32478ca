"""Verdicts: a claim against the values of a study, decided over seeds by a paired t interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from genexp.ablations.report.study import Claim, Labels, Study, Term
from genexp.ablations.report.values import cells, label_text, metric_names, metric_of, variants
from genexp.terminal import nearest

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
VERDICTS = (HOLDS, FAILS, UNDECIDED)
LEVEL = 0.05
"""A claim is decided where its interval of 1 - LEVEL does not contain 0."""
POWER = 0.8
"""The chance of a decision that the number of seeds is stated for."""

_ROUNDING = 1e-12
"""Differences below this part of the values are rounding, not spread."""


@dataclass(frozen=True)
class Verdict:
    """What the values say about a claim.

    Args:
        claim: The claim.
        verdict: `holds`, `fails` or `undecided`.
        left: Mean of the left side over the seeds used, or None.
        right: Mean of the right side.
        seeds: Seeds used: those with all values that both sides need.
        differences: Left minus right of each of these seeds.
        difference: Their mean.
        interval: Two-sided 95 % t interval of the mean difference; None for fewer than two seeds.
        p: Two-sided p value of the paired t test; None without spread.
        effect: Mean difference over the standard deviation of the differences (Cohen's d_z); None without spread.
        seeds_needed: Fewest seeds that decide with a chance of 80 % if this mean and spread are the true ones; None if
            no number up to a million does.
        reason: Why it is undecided, and what was left out, in plain words; empty if nothing is to be said.
        holm: p after Holm's correction for all claims of the study; says more, decides nothing.
        choices: In how many ways a search could have chosen the settings of both sides on these seeds; interval, p and
            verdict hold for all of them at once.
    """

    claim: Claim
    verdict: str
    left: float | None = None
    right: float | None = None
    seeds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    effect: float | None = None
    seeds_needed: int | None = None
    reason: str = ""
    holm: float | None = None
    choices: int = 1


def judge_all(study: Study) -> list[Verdict]:
    """The verdicts of all claims, each with its p value after Holm's correction for their number."""
    verdicts = [judge(claim, study) for claim in study.claims]
    tested = sorted((n for n, each in enumerate(verdicts) if each.p is not None), key=lambda n: verdicts[n].p)
    largest = 0.0
    for rank, n in enumerate(tested):
        largest = max(largest, min(1.0, verdicts[n].p * (len(tested) - rank)))
        verdicts[n] = replace(verdicts[n], holm=largest)
    return verdicts


def judge(claim: Claim, study: Study) -> Verdict:
    r"""Decide a claim over seeds.

    For every seed $d = l - r$, where a side is the mean over the variants that it selects. The claim holds if the
    interval $\bar d \pm t_{0.975, n - 1} s / \sqrt n$ lies wholly on its side of 0 and fails if it lies wholly on the
    other. Where all seeds differ by the same number there is no spread: then the sign test decides, which takes six.

    A search has chosen settings by the very seeds that test them, and the best of several is partly luck. Where it
    could have chosen in m ways, all m differences are covered at once: every interval is that of 1 - 0.05 / m and every
    p is multiplied by m (Bonferroni), which is valid whichever is shown.

    Raises:
        MixedProtocols: a side would mix values that were measured in different ways.
        ValueError: a search has to be reduced and no direction of the values is known.
    """
    sides = [_side(term, study) for term in (claim.left, claim.right)]
    problems = list(dict.fromkeys(problem for _, _, found in sides for problem in found))
    seeds = sorted(set.intersection(*(set(values) for values, plain, _ in sides if not plain)))
    left, right = ({seed: values[None if plain else seed] for seed in seeds} for values, plain, _ in sides)
    if not seeds:
        return Verdict(claim, UNDECIDED, reason="; ".join(problems) or "no seed has all values")
    differences = tuple(left[seed] - right[seed] for seed in seeds)
    bare = Verdict(
        claim=claim,
        verdict=UNDECIDED,
        left=fmean(left.values()),
        right=fmean(right.values()),
        seeds=tuple(seeds),
        differences=differences,
        difference=fmean(differences),
        choices=choices_of(claim, study),
    )
    if not all(math.isfinite(each) for each in differences):
        return replace(bare, reason="; ".join(problems))
    scale = max(abs(each) for each in (*left.values(), *right.values()))
    decided = _decided(bare, scale)
    return replace(decided, reason="; ".join(filter(None, [decided.reason, *problems])))


def choices_of(claim: Claim, study: Study) -> int:
    """In how many ways a study's search could choose the settings of both sides; 1 where they are fixed."""
    if study.search is None:
        return 1
    free = [side for side in (claim.left, claim.right) if side.metric and study.search not in dict(side.where)]
    searched = {labels for side in free for labels in variants(study, side.where)}
    return len(study.axes[study.search]) ** len(searched)


Side = tuple[dict[int | None, float], bool, list[str]]
"""Seed to number, whether the side is a plain number (then its seed is None), and what is wrong."""


def _side(term: Term, study: Study) -> Side:
    if term.metric is None:
        return {None: term.factor}, True, []
    metric = metric_of(study, term.metric)
    if metric is None:
        close = nearest(term.metric, metric_names(study))
        meant = f" (is {close} meant?)" if close not in (None, term.metric) else ""
        return {}, False, [f"there are no values of {term.metric}{meant}"]
    outside = [f"{axis}={value}" for axis, value in term.where if value not in study.axes[axis]]
    if outside:
        return {}, False, [f"{', '.join(outside)} is not measured at scale {study.scale}"]
    by_variant = cells(study, metric, term.where)
    common = set.intersection(*(set(seeds) for seeds in by_variant.values()))
    wanted = sorted({*study.seeds, *(seed for seeds in by_variant.values() for seed in seeds)})
    lacking = {labels: [seed for seed in wanted if seed not in seeds] for labels, seeds in by_variant.items()}
    odd = {
        labels: [seed for seed in sorted(common) if not math.isfinite(seeds[seed])]
        for labels, seeds in by_variant.items()
    }
    problems = [_named("missing", term.metric, lacking), _named("no finite number", term.metric, odd)]
    values = {seed: term.factor * fmean(seeds[seed] for seeds in by_variant.values()) for seed in common}
    return values, False, [each for each in problems if each]


def _named(what: str, metric: str, places: dict[Labels, list[int]]) -> str:
    """Which values of which seeds, at most four variants by name; empty if there are none."""
    found = [f"{label_text(labels)} at {_seeds(seeds)}" for labels, seeds in places.items() if seeds]
    rest = [f"{len(found) - 4} more"] if len(found) > 4 else []
    return f"{what}: {metric} of {', of '.join([*found[:4], *rest])}" if found else ""


def _seeds(numbers: Sequence[int]) -> str:
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _decided(bare: Verdict, scale: float) -> Verdict:
    """Add interval, test and verdict; `scale` is the largest of the values, against which rounding is judged."""
    from scipy.special import stdtr, stdtrit

    n, mean, level = len(bare.differences), bare.difference, LEVEL / bare.choices
    if abs(mean) <= _ROUNDING * scale:
        mean = 0.0
    if n == 1:
        return replace(bare, reason="one seed has no spread, so there is no interval; two seeds are the least")
    spread = stdev(bare.differences)
    if spread <= _ROUNDING * scale:
        return _without_spread(bare, mean)
    half = float(stdtrit(n - 1, 1 - level / 2)) * spread / math.sqrt(n)
    low, high = mean - half, mean + half
    verdict, needed = _verdict_of(bare.claim.relation, low, high), seeds_needed(mean, spread, level)
    return replace(
        bare,
        verdict=verdict,
        interval=(low, high),
        p=min(1.0, bare.choices * float(2 * stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))),
        effect=mean / spread,
        seeds_needed=needed,
        reason=_still_open(bare.claim.relation, mean, needed) if verdict == UNDECIDED else "",
    )


def _still_open(relation: str, mean: float, needed: int | None) -> str:
    """What would decide a claim whose interval contains 0."""
    if needed is None:
        return "the interval contains 0, and no number of seeds up to a million would be likely to decide"
    way = "for" if (mean < 0) == (relation == "<") else "against"
    return (
        f"the interval contains 0; were these mean and spread the true ones, {needed:,} seeds would decide {way} the "
        f"claim with a chance of {POWER:.0%}".replace("%", " %")
    )


def _without_spread(bare: Verdict, mean: float) -> Verdict:
    """Equal differences at all seeds: the two-sided sign test, whose p is 2 to the power of 1 - n."""
    n = len(bare.differences)
    if mean == 0:
        return replace(bare, interval=(0.0, 0.0), reason=f"both sides are equal at all {n} seeds")
    p, least = min(1.0, bare.choices * 2.0 ** (1 - n)), math.ceil(1 - math.log2(LEVEL / bare.choices))
    verdict = _verdict_of(bare.claim.relation, mean, mean) if n >= least else UNDECIDED
    reason = f"the difference is the same at all {n} seeds, so the sign test stands for the t test"
    reason += f"; it takes {least} seeds" if n < least else ""
    return replace(bare, verdict=verdict, interval=(mean, mean), p=p, seeds_needed=least, reason=reason)


def _verdict_of(relation: str, low: float, high: float) -> str:
    if low <= 0 <= high:
        return UNDECIDED
    return HOLDS if (high < 0) == (relation == "<") else FAILS


_MOST, _SURE = 2**20, 30.0
"""Most seeds that are named, and a noncentrality at which two seeds decide already (in 98 of 100 cases)."""


def seeds_needed(mean: float, spread: float, level: float = LEVEL) -> int | None:
    r"""The smallest n at which a paired t test decides with a chance of `POWER`, to the side of the mean.

    With $T$ of the noncentral t distribution with $n - 1$ degrees of freedom and noncentrality $\sqrt n |\bar d| / s$,
    the chance is $P(T > t_{1 - level / 2, n - 1})$.

    Args:
        mean: Mean difference, taken for the true one.
        spread: Standard deviation of the differences, taken for the true one, above 0.
        level: Level of the test, two-sided.

    Returns:
        The number, or None where it is above a million or so.
    """
    from scipy.special import nctdtr, stdtrit

    def decides(n: int) -> bool:
        shift = math.sqrt(n) * abs(mean) / spread
        critical = float(stdtrit(n - 1, 1 - level / 2))
        return shift > max(_SURE, 2 * critical) or 1 - float(nctdtr(n - 1, shift, critical)) >= POWER

    high = 2
    while not decides(high):
        high *= 2
        if high > _MOST:
            return None
    low = max(2, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle + 1, high)
    return low
