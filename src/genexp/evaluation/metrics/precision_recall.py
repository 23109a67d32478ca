"""Fidelity and diversity apart: neighbourhoods of real and of generated images that cover each other."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genexp.contracts import FeatureExtractor
from genexp.evaluation.feature_distances import DistanceBlock, blocks
from genexp.evaluation.jackknife import centred_draws, draws_of_mean, groups_to_leave_out, sizes_of
from genexp.evaluation.metrics.base import DISTANCE, SHARE, Better, OfSets, Value
from genexp.evaluation.neighbours import radii, radii_without_groups, require_more_than
from genexp.evaluation.summaries import FeatureStore


@dataclass(frozen=True)
class Neighbourhoods:
    """Points (N, D) and the distance (N,) of each to its k-th nearest other point."""

    points: Tensor
    radii: Tensor


class _OfNeighbourhoods(OfSets):
    """What metrics share that look for balls around real images."""

    k: int

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Neighbourhoods:
        """Find the balls of the real images.

        Raises:
            ValueError: there are not more than k real images.
        """
        return _neighbourhoods(reference, self.k)


class PrecisionRecall(_OfNeighbourhoods):
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

    def __init__(self, k: int = 3, extractor: FeatureExtractor | None = None) -> None:
        self.k, self.extractor = _positive(k), extractor

    def compute(self, generated: FeatureStore, prepared: Neighbourhoods) -> dict[str, Value]:
        """Both shares with their pseudo-values.

        Raises:
            ValueError: there are not more than k generated images.
        """
        require_more_than(self.k, generated.count, "generated images")
        groups = groups_to_leave_out(generated.group, keep=self.k + 1)
        points = generated.features
        reach = radii_without_groups(points, groups, self.k) if groups else radii(points, self.k)[None]
        inside = torch.zeros(len(points), dtype=torch.bool)
        covered = torch.zeros(len(reach), len(prepared.points), dtype=torch.bool)
        for block in blocks(prepared.points, points):
            inside[block.across] |= block.within(prepared.radii[block.down, None]).any(0)
            covered[:, block.down] |= _covered(block, reach[:, block.across], generated.group)
        recalls = covered.double().mean(1).tolist()
        draws = centred_draws(recalls[-1], recalls[:-1], sizes_of(groups)) if groups else ()
        precision = Value(float(inside.double().mean()), draws_of_mean(inside.double(), generated.group), limits=SHARE)
        return {"precision": precision, "recall": Value(recalls[-1], draws, limits=SHARE)}


class DensityCoverage(_OfNeighbourhoods):
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

    def __init__(self, k: int = 5, extractor: FeatureExtractor | None = None) -> None:
        self.k, self.extractor = _positive(k), extractor

    def compute(self, generated: FeatureStore, prepared: Neighbourhoods) -> dict[str, Value]:
        """Both values with their pseudo-values.

        Raises:
            ValueError: there are no generated images.
        """
        if not generated.count:
            raise ValueError("density and coverage need at least 1 generated image, got 0")
        balls = torch.zeros(generated.count, dtype=torch.float64)
        groups = groups_to_leave_out(generated.group)
        held = torch.zeros(len(prepared.points), max(1, len(groups)))
        for block in blocks(prepared.points, generated.features):
            within = block.within(prepared.radii[block.down, None], strictly=True)
            balls[block.across] += within.sum(0)
            held[block.down] += _counts_by_group(within, generated.group[block.across], len(groups))
        everywhere = held.sum(1)
        coverage = float((everywhere > 0).double().mean())
        without = [float((everywhere > own).double().mean()) for own in held.unbind(1)]
        draws = centred_draws(coverage, without, sizes_of(groups)) if groups else ()
        density = balls / self.k
        expected = same_law_coverage(self.k, len(prepared.points), generated.count)
        return {
            "density": Value(float(density.mean()), draws_of_mean(density, generated.group), limits=DISTANCE),
            "coverage": Value(coverage, draws, {"same_law": expected}, SHARE),
        }


def _covered(block: DistanceBlock, reach: Tensor, group: Tensor) -> Tensor:
    """Which rows (G + 1, M) lie in a ball of a column, without the columns of one group, and with all.

    A radius grows when a neighbour is left out: what lies in a ball of all does in that one too, so that the others are
    asked only of the columns whose radius is another then.

    Args:
        block: Distances (M, N).
        reach: Radii (G + 1, N) of the columns without one group, and with all.
        group: The group of every one of all columns; without effect where `reach` is of all alone.
    """
    within = block.within(reach[-1])
    counts = _counts_by_group(within, group[block.across], len(reach) - 1)
    everywhere = counts.sum(1)
    rows = []
    for number, radius in enumerate(reach[:-1]):
        changed = ((group[block.across] != number) & (radius != reach[-1])).nonzero()[:, 0]
        rows.append((everywhere > counts[:, number]) | block.of_columns(changed).within(radius[changed]).any(1))
    return torch.stack([*rows, everywhere > 0])


def _counts_by_group(within: Tensor, group: Tensor, groups: int) -> Tensor:
    """How many (M, G) of the columns of every group are true in (M, N); of all columns (M, 1) where G is 0."""
    if not groups:
        return within.sum(1, keepdim=True).float()
    return within.float() @ one_hot(group, groups).float()


def same_law_coverage(k: int, real: int, generated: int) -> float:
    r"""Expected coverage of two samples of one law, 1 - \prod_{j=1}^k (N - j) / (M + N - j)."""
    missed = 1.0
    for j in range(1, k + 1):
        missed *= (real - j) / (generated + real - j)
    return 1 - missed


def _neighbourhoods(reference: FeatureStore, k: int) -> Neighbourhoods:
    require_more_than(k, reference.count, "real images")
    return Neighbourhoods(reference.features, reference.radii(k))


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return k
