"""Kernel distance: the squared maximum mean discrepancy with a cubic kernel."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.dealing import GROUPS
from genexp.evaluation.jackknife import groups_to_leave_out
from genexp.evaluation.metrics.base import DISTANCE, Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore
from genexp.evaluation.uncertainty import pseudo_values

_BLOCK = 1024


@dataclass(frozen=True)
class KernelReference:
    """Real features (N, D) and the sum of the kernel over all pairs of two different ones."""

    features: Tensor
    within: float


class KernelDistance(OfSets):
    r"""Squared MMD of features with k(x, y) = (x.y / D + 1)^3: do both sets agree in all moments up to the third?

    The complete U-statistic over all pairs: mean of k over pairs of different generated images, plus that over pairs of
    different real ones, minus twice that over mixed pairs. It is unbiased for any number of images, so small negative
    values are normal and mean that no difference is seen, and values of different sample sizes may be compared. Sets
    with exactly equal class shares, such as stratified splits, are more alike than random ones: their values may lie
    clearly below 0.

    Smaller is better. Traps: the scale is that of the features cubed, so values of different extractors have nothing in
    common; images that copy the training set score as well as new ones.

    With `subsets` it becomes the estimator of the paper's tables: the mean over random subsets of both sides. The
    spread over subsets, given as `subset_std`, is not a standard error: subsets overlap, and their size is not the
    number of images.

    Reference: Bińkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs" (2018).

    Args:
        subsets: Number of random subsets, or None for the complete statistic.
        subset_size: Images of each side in a subset, or None with `subsets` None.
        seed: Seed of the subsets.
        extractor: Features of its own, or None for those of the evaluation.

    Raises:
        ValueError: only one of `subsets` and `subset_size` is given, or one is too small.
    """

    values: ClassVar[dict[str, Better]] = {"kid": "lower"}
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "missing_class": "worse",
        "noise": "worse",
        "blur": "worse",
        "swapped": "worse",
        "jpeg": "worse",
    }

    def __init__(
        self,
        subsets: int | None = None,
        subset_size: int | None = None,
        seed: int = 0,
        extractor: FeatureExtractor | None = None,
    ) -> None:
        if (subsets is None) != (subset_size is None):
            raise ValueError(f"subsets and subset_size must be given together, got {subsets} and {subset_size}")
        if subsets is not None and subsets < 1:
            raise ValueError(f"subsets must be at least 1, got {subsets}")
        if subset_size is not None and subset_size < 2:
            raise ValueError(f"subset_size must be at least 2, got {subset_size}")
        self.subsets, self.subset_size, self.seed, self.extractor = subsets, subset_size, seed, extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> KernelReference:
        """Sum the kernel over the real pairs.

        Raises:
            ValueError: there are too few real images.
        """
        self._require(reference.count, "real images")
        within = float(sums_within(reference.features)) if self.subsets is None else 0.0
        return KernelReference(reference.features, within)

    def compute(self, generated: FeatureStore, prepared: KernelReference) -> dict[str, Value]:
        """The distance with its pseudo-values, or the mean over subsets with their spread.

        Raises:
            ValueError: there are too few generated images.
        """
        self._require(generated.count, "generated images")
        if self.subsets is not None:
            return {"kid": self._over_subsets(generated.features, prepared.features)}
        group = generated.group
        sizes = group.bincount(minlength=GROUPS).double()
        within = sums_within(generated.features, group, GROUPS)
        across = sums_across(generated.features, prepared.features, group, GROUPS)
        count = len(prepared.features)
        real = prepared.within / (count * (count - 1))

        def distance(pairs: Tensor, mixed: Tensor, size: Tensor) -> float:
            return float(pairs / (size * (size - 1)) + real - 2 * mixed / (size * count))

        pairs, mixed, size = within.sum(), across.sum(), sizes.sum()
        value = distance(pairs, mixed, size)
        if not groups_to_leave_out(generated.group, keep=2):
            return {"kid": Value(value)}
        rest = pairs - within.sum(0) - within.sum(1) + within.diagonal()
        without = [distance(*parts) for parts in zip(rest, mixed - across, size - sizes, strict=True)]
        return {"kid": Value(value, tuple(pseudo_values(value, without, sizes.tolist())), limits=DISTANCE)}

    def _over_subsets(self, generated: Tensor, real: Tensor) -> Value:
        generator = torch.Generator().manual_seed(self.seed)
        found = []
        for _ in range(self.subsets):
            sides = [
                side[torch.randperm(len(side), generator=generator)[: self.subset_size].sort().values]
                for side in (generated, real)
            ]
            found.append(kernel_distance(*sides))
        values = torch.tensor(found, dtype=torch.float64)
        return Value(float(values.mean()), (), {"subset_std": float(values.std(correction=0))})

    def _require(self, count: int, what: str) -> None:
        needed = self.subset_size or 2
        if count < needed:
            raise ValueError(f"the kernel distance needs at least {needed} {what}, got {count}")


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """The complete U-statistic between features (M, D) and (N, D), M, N >= 2."""
    m, n = len(first), len(second)
    same = sums_within(first) / (m * (m - 1)) + sums_within(second) / (n * (n - 1))
    return float(same - 2 * sums_across(first, second) / (m * n))


def sums_within(features: Tensor, group: Tensor | None = None, groups: int = 1) -> Tensor:
    """Sums of the kernel over pairs of different vectors (N, D) by the groups of both: (groups, groups), in float64."""
    members = _membership(features, group, groups)
    sums = torch.zeros(groups, groups, dtype=torch.float64)
    for top in range(0, len(features), _BLOCK):
        for left in range(top, len(features), _BLOCK):
            down, across = slice(top, top + _BLOCK), slice(left, left + _BLOCK)
            kernel = cubic(features[down], features[across])
            if left == top:
                kernel.fill_diagonal_(0)
            part = members[down].mT @ kernel @ members[across]
            sums += part if left == top else part + part.mT
    return sums


def sums_across(first: Tensor, second: Tensor, group: Tensor | None = None, groups: int = 1) -> Tensor:
    """Sums of the kernel over pairs of one of `first` (M, D) and one of `second` (N, D) by groups of `first`."""
    members = _membership(first, group, groups)
    sums = torch.zeros(groups, dtype=torch.float64)
    for down in range(0, len(first), _BLOCK):
        for across in range(0, len(second), _BLOCK):
            kernel = cubic(first[down : down + _BLOCK], second[across : across + _BLOCK])
            sums += members[down : down + _BLOCK].mT @ kernel.sum(1)
    return sums


def cubic(rows: Tensor, columns: Tensor) -> Tensor:
    """The kernel (x.y / D + 1)^3 between vectors (M, D) and (N, D), in float64."""
    base = rows.double() @ columns.double().mT
    base.div_(rows.shape[1]).add_(1)
    return base * base * base


def _membership(features: Tensor, group: Tensor | None, groups: int) -> Tensor:
    group = torch.zeros(len(features), dtype=torch.int64) if group is None else group
    return torch.nn.functional.one_hot(group, groups).double()
