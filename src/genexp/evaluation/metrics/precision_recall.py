"""Fidelity and diversity apart: neighbourhoods of real and of generated images that cover each other."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.jackknife import centred_draws, draws_of_mean, groups_to_leave_out, sizes_of
from genexp.evaluation.metrics.base import DISTANCE, SHARE, Better, MetricKind, Value
from genexp.evaluation.neighbours import blocks, radii, radii_without_groups, require_more_than
from genexp.evaluation.summaries import FeatureStore


@dataclass(frozen=True)
class Neighbourhoods:
    """Points (N, D) and the distance (N,) of each to its k-th nearest other point."""

    points: Tensor
    radii: Tensor


class PrecisionRecall:
    """Share of generated images that lie where real ones do (precision), and of real ones where generated do (recall).

    Every image of one side is the centre of a ball that reaches its k-th nearest other image of that side; the image
    itself does not count, copies of it do. An image of the other side is covered when it lies in at least one ball, the
    surface included (distance <= radius).

    Higher is better. Traps: a single outlier makes a large ball, so precision of wide noise around real outliers and
    recall of a generator with outliers are too high; both depend on the numbers of images and on k, so compare equal
    counts only; two samples of one law score well below 1 in many dimensions (about 0.5 at D = 1000): read them beside
    the floor of held-out real images; copies of training images have precision 1.

    The pseudo-values of recall are moved to its mean: its dependence on the number of images is no bias of it. Its
    standard error comes out too large rather than too small, by about half.

    Reference: Kynkäänniemi, Karras, Laine, Lehtinen and Aila, "Improved Precision and Recall Metric for Assessing
    Generative Models" (2019).

    Args:
        k: Which neighbour sets the radius.
        extractor: Features of its own, or None for those of the evaluation.

    Raises:
        ValueError: `k` is below 1.
    """

    values: ClassVar[dict[str, Better]] = {"precision": "higher", "recall": "higher"}
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "noise": "worse",
        "blur": "worse",
        "jpeg": "worse",
        "duplicates": "better",
    }
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "sets"

    def __init__(self, k: int = 3, extractor: FeatureExtractor | None = None) -> None:
        self.k, self.extractor = _positive(k), extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Neighbourhoods:
        """Find the balls of the real images.

        Raises:
            ValueError: there are not more than k real images.
        """
        return _neighbourhoods(reference, self.k)

    def compute(self, generated: FeatureStore, prepared: Neighbourhoods) -> dict[str, Value]:
        """Both shares with their pseudo-values.

        Raises:
            ValueError: there are not more than k generated images.
        """
        require_more_than(self.k, generated.count, "generated images")
        groups = groups_to_leave_out(generated.group, keep=self.k + 1)
        points = generated.features
        reach = radii_without_groups(points, groups, self.k) if groups else radii(points, self.k)[None]
        left_out = torch.full((len(points),), len(reach), dtype=torch.int64)
        for number, members in enumerate(groups):
            left_out[members] = number

        inside = torch.zeros(len(points), dtype=torch.bool)
        covered = torch.zeros(len(reach), len(prepared.points), dtype=torch.bool)
        for real, across, distance in blocks(prepared.points, points):
            inside[across] |= (distance - prepared.radii[real, None]).amin(0) <= 0
            for number, radius in enumerate(reach):
                usable = torch.where(left_out[across] == number, -1.0, radius[across])
                covered[number, real] |= (distance - usable).amin(1) <= 0
        recalls = covered.double().mean(1).tolist()
        draws = centred_draws(recalls[-1], recalls[:-1], sizes_of(groups)) if groups else ()
        precision = Value(float(inside.double().mean()), draws_of_mean(inside.double(), generated.group), limits=SHARE)
        return {"precision": precision, "recall": Value(recalls[-1], draws, limits=SHARE)}


class DensityCoverage:
    r"""How many real neighbourhoods a generated image lies in (density), and how many hold a generated one (coverage).

    Only real images have balls, which reach the k-th nearest other real image (the image itself does not count, copies
    of it do). density = (1 / (k M)) \sum_i \sum_j [d(g_i, r_j) < radius_j], coverage = the share of j with
    min_i d(g_i, r_j) < radius_j; the surface does not belong to a ball (strictly below the radius), as in the authors'
    code.

    Higher is better, but density has no bound: the expectation for two samples of one law is 1, and generated images
    crowded in dense places exceed it. Outliers among generated images do no harm here. For two samples of one law the
    expected coverage is 1 - \prod_{j=1}^k (N - j) / (M + N - j), given as `same_law`; it depends on both numbers of
    images, so compare equal counts; its pseudo-values are moved to its mean for that reason. Copies of training images
    count as good ones.

    Reference: Naeem, Oh, Uh, Choi and Yoo, "Reliable Fidelity and Diversity Metrics for Generative Models" (2020).

    Args:
        k: Which neighbour sets the radius.
        extractor: Features of its own, or None for those of the evaluation.

    Raises:
        ValueError: `k` is below 1.
    """

    values: ClassVar[dict[str, Better]] = {"density": "higher", "coverage": "higher"}
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "missing_class": "worse",
        "noise": "worse",
        "blur": "worse",
        "jpeg": "worse",
        "duplicates": "better",
    }
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "sets"

    def __init__(self, k: int = 5, extractor: FeatureExtractor | None = None) -> None:
        self.k, self.extractor = _positive(k), extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Neighbourhoods:
        """Find the balls of the real images.

        Raises:
            ValueError: there are not more than k real images.
        """
        return _neighbourhoods(reference, self.k)

    def compute(self, generated: FeatureStore, prepared: Neighbourhoods) -> dict[str, Value]:
        """Both values with their pseudo-values.

        Raises:
            ValueError: there are no generated images.
        """
        if not generated.count:
            raise ValueError("density and coverage need at least 1 generated image, got 0")
        balls = torch.zeros(generated.count, dtype=torch.float64)
        groups = groups_to_leave_out(generated.group)
        parts = groups or [torch.arange(generated.count)]
        held = torch.zeros(len(parts), len(prepared.points), dtype=torch.bool)
        for number, members in enumerate(parts):
            for real, across, distance in blocks(prepared.points, generated.features[members]):
                within = distance < prepared.radii[real, None]
                balls[members[across]] += within.sum(0)
                held[number, real] |= within.any(1)
        by_group = held.sum(0)
        coverage = float((by_group > 0).double().mean())
        without = [float((by_group > own.long()).double().mean()) for own in held]
        draws = centred_draws(coverage, without, sizes_of(groups)) if groups else ()
        density = balls / self.k
        expected = same_law_coverage(self.k, len(prepared.points), generated.count)
        return {
            "density": Value(float(density.mean()), draws_of_mean(density, generated.group), limits=DISTANCE),
            "coverage": Value(coverage, draws, {"same_law": expected}, SHARE),
        }


def same_law_coverage(k: int, real: int, generated: int) -> float:
    r"""Expected coverage of two samples of one law, 1 - \prod_{j=1}^k (N - j) / (M + N - j)."""
    missed = 1.0
    for j in range(1, k + 1):
        missed *= (real - j) / (generated + real - j)
    return 1 - missed


def _neighbourhoods(reference: FeatureStore, k: int) -> Neighbourhoods:
    require_more_than(k, reference.count, "real images")
    return Neighbourhoods(reference.features, radii(reference.features, k))


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return k
