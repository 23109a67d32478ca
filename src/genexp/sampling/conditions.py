"""Under which condition sample `i` is drawn: fixed by its index, for grids, evaluations, `sample` and notebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import Condition, Conditioning
from genexp.tensors import IndexedNoise, mix_seed

if TYPE_CHECKING:
    from genexp.data.datamodule import ImageData
    from genexp.data.source import Split

_LEVELS = 43
"""Keeps the noise on what is told apart from the noise that images grow from under the same seed."""
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


class AsInTraining:
    """Conditions as they come together in the data: sample i has those of one example drawn with seed i.

    Examples are of the whole split, where `data.limit` trains on fewer as well, for images are compared with the whole.

    Args:
        data: The data module.
        conditioning: What is told, of what the data have and of what is made of their images.
        split: The split that the examples are from.
    """

    def __init__(self, data: "ImageData", conditioning: Conditioning, split: "Split" = "train") -> None:
        self.data, self.conditioning, self.split = data, conditioning, split

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The conditions of the examples, a row each."""
        size = self.data.split_size(self.split)
        rows = torch.tensor([mix_seed(_GOLDEN, index) % size for index in indices], dtype=torch.int64)
        return dict(self.conditioning.told(self.data.examples(self.split, rows)))

    def __repr__(self) -> str:
        return f"AsInTraining({', '.join(self.conditioning.names)} of {self.data.digest(self.split)})"


class Given:
    """The same for every sample, or given ones in turn, and what is not given as otherwise.

    Args:
        rows: Conditions of one row, or of several: sample i has row i, and the first again after the last.
        others: Where the further conditions come from, if there are any.
    """

    def __init__(self, rows: Condition, others: Conditions | None = None) -> None:
        self.rows, self.others = rows, others

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The conditions, a row for every sample."""
        others = {} if self.others is None else self.others.of(indices)
        places = torch.tensor(list(indices), dtype=torch.int64)
        return {**others, **{name: rows[places % len(rows)] for name, rows in self.rows.items()}}


def typed_for(conditioning: Conditioning, typed: Mapping[str, object], noise: IndexedNoise) -> Condition:
    """What a person typed, a row for each sample of a noise, on its device; ValueError as `Conditioning.read`."""
    given = Given(conditioning.read(typed)).of(noise.indices)
    return {name: rows.to(noise.device) for name, rows in given.items()}


@runtime_checkable
class AtLevels(Protocol):
    """A condition of pictures that a model is told with noise of a level that it knows."""

    picture: tuple[int, ...]
    drawn: float  # level at which images are drawn where nobody says another

    def at_level(self, rows: Tensor, level: float, noise: Tensor) -> Tensor:
        """Rows without noise at one level of it; ValueError where the model knows no such level."""
        ...


class WithNoise:
    """Conditions of which some have noise of a fixed level: that of sample i depends on the seed and i alone.

    Args:
        bare: The conditions without noise.
        kinds: What those with noise look like, by name.
        levels: Their levels.
        seed: Seed of the whole set of samples.
    """

    def __init__(self, bare: Conditions, kinds: Mapping[str, AtLevels], levels: Mapping[str, float], seed: int) -> None:
        self.bare, self.kinds, self.levels, self.seed = bare, dict(kinds), dict(levels), seed

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The conditions, a row for every sample."""
        return self.added(self.bare.of(indices), indices)

    def added(self, told: Condition, indices: Sequence[int]) -> dict[str, Tensor]:
        """Conditions without noise, a row for every sample, with the noise of these samples."""
        told, noise = dict(told), IndexedNoise(mix_seed(self.seed, _LEVELS), indices)
        for name, kind in self.kinds.items():
            own = noise.normal(*kind.picture).to(told[name])
            told[name] = kind.at_level(told[name], self.levels[name], own)
        return told

    def __repr__(self) -> str:
        return f"Noised({self.bare!r}, {self.levels})"


def noised(
    bare: Conditions | None, conditioning: Conditioning, seed: int, levels: Mapping[str, float] = MappingProxyType({})
) -> Conditions | None:
    """Conditions with the noise that a model's own kinds, or `levels` by name, ask for when it is drawn from.

    Args:
        bare: The conditions without noise, or None.
        conditioning: What they look like.
        seed: Seed of the samples.
        levels: Levels by the names of the conditions, each checked already.
    """
    known = {name: kind for name, kind in conditioning.kinds.items() if isinstance(kind, AtLevels)}
    found = {name: levels.get(name, kind.drawn) for name, kind in known.items()}
    found = {name: level for name, level in found.items() if level > 0}
    return WithNoise(bare, {name: known[name] for name in found}, found, seed) if bare and found else bare


def as_noisy(told: Condition, like: Conditions | None) -> Condition:
    """Conditions of the samples 0 to N - 1 without noise, with that which others have of the same samples."""
    count = len(next(iter(told.values())))
    return like.added(told, range(count)) if isinstance(like, WithNoise) else told


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


def as_in_training(
    conditioning: Conditioning, data: "ImageData", seed: int | None = None, split: "Split" = "train"
) -> Conditions | None:
    """What a model is drawn under where nobody says: classes in their shares, other conditions as in the data.

    Args:
        conditioning: The model's conditions.
        data: The data module of its training images.
        seed: Seed of the samples, for the noise on pictures that have a level of it; None for no noise.
        split: The split whose conditions are told, such as one that shows combinations which training does not.
    """
    bare = _as_in_training(conditioning, data, split)
    return bare if seed is None else noised(bare, conditioning, seed)


def _as_in_training(conditioning: Conditioning, data: "ImageData", split: "Split") -> Conditions | None:
    if not conditioning.names:
        return None
    if conditioning.names == ("label",):
        return ClassShares(tuple(data.label_counts(split)))
    return AsInTraining(data, conditioning, split)
