"""Moments of feature vectors in groups, so that a group can be left out."""

from collections.abc import Iterator
from typing import Self

from torch import Tensor

from genexp.evaluation.dealing import GROUPS, group_numbers
from genexp.evaluation.moments import Moments, joined, require_features


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
