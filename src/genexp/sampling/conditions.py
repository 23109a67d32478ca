"""Under which condition sample `i` is drawn: fixed by its index, for grids, evaluations, `sample` and notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_BITS = 24


class Conditions(Protocol):
    """What the samples of a conditional model are drawn under."""

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Named tensors with a row for each of these samples; what sample i has depends on i alone."""
        ...


@dataclass(frozen=True)
class ClassShares:
    """Classes in turn, as often as they occur in the data that a model was trained on.

    Args:
        counts: How often every class occurs.

    Raises:
        ValueError: no class occurs.
    """

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.counts) <= 0:
            raise ValueError(f"counts must hold at least one labelled image, got {list(self.counts)}")

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """`label` (B,)."""
        return {"label": labels_in_shares(indices, self.counts)}


@dataclass(frozen=True)
class OneClass:
    """The same class for every sample.

    Args:
        label: Its number.
    """

    label: int

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """`label` (B,)."""
        return {"label": torch.full((len(indices),), self.label)}


def labels_in_shares(indices: Sequence[int], counts: Sequence[int]) -> Tensor:
    """Labels (B,) of samples: fixed by the sample's index, and over many samples in proportion to `counts`.

    The indices come in rounds of as many as there are classes. Index j of round k falls on the point (j + u_k) / C of
    the cumulative shares, where u_k is the fractional part of (k + 1/2) phi and phi the golden ratio. A round is a
    systematic sample of the classes in their order: of classes that are equally frequent each has its turn, and so a
    grid with a column a class.

    Args:
        indices: Indices of the samples.
        counts: How often every class occurs, below 2^39 / C in all.
    """
    classes = [label for label, count in enumerate(counts) if count > 0]
    edges = torch.tensor([*accumulate(counts[label] for label in classes)]) * len(classes) << _BITS
    rounds = [((i // len(classes)) * _GOLDEN + _GOLDEN // 2) % 2**64 >> 64 - _BITS for i in indices]
    places = [((i % len(classes) << _BITS) + offset) * sum(counts) for i, offset in zip(indices, rounds, strict=True)]
    return torch.tensor(classes)[torch.searchsorted(edges, torch.tensor(places), right=True)]


def conditions_in_training(datamodule: Any, num_classes: int | None) -> Conditions | None:
    """What a model in training is drawn under.

    Args:
        datamodule: Its data.
        num_classes: The classes of a conditional model, or None.
    """
    return None if num_classes is None else ClassShares(tuple(datamodule.label_counts("train")))
