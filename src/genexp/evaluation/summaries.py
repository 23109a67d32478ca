"""Summaries of feature vectors, gathered in pieces: the same numbers for any batch size, order or process count."""

from collections.abc import Iterator
from typing import Protocol, Self

import torch
from torch import Tensor

from genexp.evaluation.dealing import GROUPS, group_numbers
from genexp.evaluation.moments import Moments, joined, require_features


class Statistic(Protocol):
    """A summary of feature vectors that grows by `update`, joins others by `merge` and is stored as tensors."""

    def __init__(self, dimensions: int) -> None: ...

    @property
    def count(self) -> int:
        """Number of vectors seen."""
        ...

    def update(self, features: Tensor, index: Tensor, label: Tensor | None = None, group: Tensor | None = None) -> None:
        """Add vectors (N, D) of the samples `index` (N,), with their classes (N,) where there are any.

        Their groups (N,) are a hash of the index where none are given.
        """
        ...

    def merge(self, other: Self) -> None:
        """Add all that `other` has seen."""
        ...

    def condensed(self) -> Self:
        """All that a reference needs: what is kept on disk for real images."""
        ...

    def state(self) -> dict[str, Tensor]:
        """The summary as tensors of at least one axis, to be stored or sent to another process."""
        ...

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild a summary from `state`."""
        ...


class GroupedMoments:
    """Moments of feature vectors that are dealt into groups by the samples' index, so that groups can be left out.

    Args:
        dimensions: Length D of a feature vector.
        groups: Number of groups; which one a sample belongs to is said by `group_numbers` unless it is given.
    """

    def __init__(self, dimensions: int, groups: int = GROUPS) -> None:
        self.groups = [Moments(dimensions) for _ in range(groups)]

    @property
    def dimensions(self) -> int:
        """Length D of a feature vector."""
        return self.groups[0].dimensions

    @property
    def count(self) -> int:
        """Number of vectors seen."""
        return sum(group.count for group in self.groups)

    @property
    def sizes(self) -> list[int]:
        """Number of vectors in every group."""
        return [group.count for group in self.groups]

    @property
    def total(self) -> Moments:
        """The moments of all groups together."""
        return joined(self.groups)

    def without_each(self) -> Iterator[Moments]:
        """The moments of all vectors but those of one group, for every group, one at a time.

        Raises:
            ValueError: there is a single group, as in a condensed reference.
        """
        if len(self.groups) < 2:
            raise ValueError("leaving groups out needs at least 2 groups, got 1: real images are kept in a single one")
        total = self.total
        for number, group in enumerate(self.groups):
            few = total.count < 2 * self.dimensions
            yield joined(self.groups[:number] + self.groups[number + 1 :]) if few else total.without(group)

    def update(self, features: Tensor, index: Tensor, label: Tensor | None = None, group: Tensor | None = None) -> None:
        """Add vectors (N, D) of the samples `index` (N,), into the groups `group` (N,) where they are given.

        Raises:
            ValueError: the shape is wrong or a value is not finite.
        """
        require_features(features, self.dimensions)
        count = len(self.groups)
        numbers = group_numbers(index, count) if group is None or count != GROUPS else group
        numbers = numbers.to(features.device)
        for number, moments in enumerate(self.groups):
            moments.update(features[numbers == number])

    def merge(self, other: Self) -> None:
        """Add all vectors that `other` has seen.

        Raises:
            ValueError: the two have different dimensions or numbers of groups.
        """
        if len(other.groups) != len(self.groups):
            raise ValueError(f"merged moments must have {len(self.groups)} groups, got {len(other.groups)}")
        for own, added in zip(self.groups, other.groups, strict=True):
            own.merge(added)

    def condensed(self) -> Self:
        """The same moments in a single group."""
        single = type(self)(self.dimensions, groups=1)
        single.groups = [self.total]
        return single

    def state(self) -> dict[str, Tensor]:
        """The moments of every group."""
        return {f"{i}.{name}": tensor for i, group in enumerate(self.groups) for name, tensor in group.state().items()}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild the groups from `state`."""
        parts: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            number, name = key.split(".")
            parts.setdefault(int(number), {})[name] = tensor
        groups = [Moments.from_state(parts[number]) for number in range(len(parts))]
        statistic = cls(groups[0].dimensions, len(groups))
        statistic.groups = groups
        return statistic


class FeatureStore:
    """The feature vectors themselves, in the order of the samples' indices, in float32 or as 8-bit images on the CPU.

    Memory: 4 N D bytes, or N D of images.

    Args:
        dimensions: Length D of a feature vector.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    @property
    def count(self) -> int:
        """Number of vectors seen."""
        return sum(len(index) for _, index, _, _ in self._parts)

    @property
    def features(self) -> Tensor:
        """The vectors (N, D) in the order of their indices."""
        return self._sorted()[0]

    @property
    def index(self) -> Tensor:
        """The indices (N,) in ascending order."""
        return self._sorted()[1]

    @property
    def label(self) -> Tensor:
        """The classes (N,) in the order of the indices; -1 where a sample has none."""
        return self._sorted()[2]

    @property
    def group(self) -> Tensor:
        """The groups (N,) that the samples are dealt into, in the order of the indices."""
        return self._sorted()[3]

    def update(self, features: Tensor, index: Tensor, label: Tensor | None = None, group: Tensor | None = None) -> None:
        """Add vectors (N, D) of the samples `index` (N,) with their classes (N,) and groups (N,), if any.

        Raises:
            ValueError: the shape is wrong or a value is not finite.
        """
        require_features(features, self.dimensions)
        classes = torch.full_like(index, -1) if label is None else label
        kept = features.detach().cpu()
        kept = kept if kept.dtype == torch.uint8 else kept.float()
        groups = group_numbers(index.cpu()) if group is None else group.cpu().long()
        self._parts.append((kept, index.cpu().long(), classes.cpu().long(), groups))

    def merge(self, other: Self) -> None:
        """Add all vectors that `other` has seen.

        Raises:
            ValueError: the two have different dimensions.
        """
        if other.dimensions != self.dimensions:
            raise ValueError(f"merged features must have {self.dimensions} dimensions, got {other.dimensions}")
        self._parts += other._parts

    def condensed(self) -> Self:
        """The store itself."""
        return self

    def state(self) -> dict[str, Tensor]:
        """Vectors, indices, classes and groups."""
        return dict(zip(("features", "index", "label", "group"), self._sorted(), strict=True))

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild a store from `state`."""
        store = cls(state["features"].shape[1])
        store._parts = [(state["features"], state["index"], state["label"], state["group"])]
        return store

    def _sorted(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if not self._parts:
            none = torch.empty(0, dtype=torch.int64)
            return torch.empty(0, self.dimensions), none, none, none
        if len(self._parts) > 1 or not _ascending(self._parts[0][1]):
            columns = [torch.cat(column) for column in zip(*self._parts, strict=True)]
            order = columns[1].argsort(stable=True)
            self._parts = [tuple(column[order] for column in columns)]
        return self._parts[0]


def _ascending(index: Tensor) -> bool:
    return bool((index[1:] >= index[:-1]).all())


def require_labels(metric: str, store: FeatureStore) -> None:
    """Check that all images of a set have a class.

    Raises:
        ValueError: there are no images, or some are without a label.
    """
    missing = int((store.label < 0).sum())
    if missing or store.count == 0:
        raise ValueError(f"{metric} needs labelled images, got {missing} of {store.count} without a label")
