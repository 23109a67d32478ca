"""Which part of a set an image belongs to: random, and the same whoever asks; within classes where they are known."""

from collections.abc import Sequence

import torch
from torch import Tensor

GROUPS = 20
"""Parts that compared images are dealt into for the jackknife."""

_SALT = 44569 << 32
"""Of two hundred thousand tried, the one with which the first 24 images reach all 20 groups."""
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def hashed(index: Tensor) -> Tensor:
    """A well-spread number in [0, 2^63) for every index (N,) of any integers: what index i gets depends on i alone.

    Reference: the finaliser of splitmix64, Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators"
    (2014).
    """
    state = (index.long() + (1 + _SALT)) * _signed(_GOLDEN)
    state = (state ^ _shifted(state, 30)) * _signed(_FIRST)
    state = (state ^ _shifted(state, 27)) * _signed(_SECOND)
    return _shifted(state ^ _shifted(state, 31), 1)


def group_numbers(index: Tensor, groups: int = GROUPS) -> Tensor:
    """The group (N,) of every sample: a hash of its index, so that every group is a random sample of the images.

    Neither the order of the images (classes one after the other, or in turn) nor batches or processes matter, and two
    sets over the same indices have the same groups. Their sizes are random, too, and differ.
    """
    return (hashed(index) >> 32) % groups


def groups_within(label: Tensor, groups: int = GROUPS) -> Tensor:
    """The group (N,) of every sample of a whole set, dealt within each class: every group has the shares of the set.

    The samples of a class are put in the order of a hash of their place among them, and dealt like cards; the next
    class goes on where this one has ended, so sizes of groups differ by one at most, and so do those of a class in all
    groups. Neither the order of the classes nor batches or processes matter, and sets of equal labels have the same
    groups.

    Args:
        label: The classes (N,) of all samples, in the order of their indices.
        groups: Number of groups.
    """
    found, dealt = torch.empty(len(label), dtype=torch.int64), 0
    for each in label.unique().tolist():
        members = (label == each).nonzero().flatten().cpu()
        order = hashed(torch.arange(len(members)) + (each << 32)).argsort()
        found[members[order]] = (torch.arange(len(members)) + dealt) % groups
        dealt += len(members)
    return found


def members_of(group: Tensor, groups: int = GROUPS) -> Sequence[Tensor]:
    """Positions of the samples of every group."""
    return [(group == number).nonzero().flatten() for number in range(groups)]


BY_INDEX = "by index"
"""How samples without classes are dealt, in a protocol."""


def within_classes(classes: int) -> str:
    """How samples of so many classes are dealt, in a protocol."""
    return f"within {classes} classes"


def dealing_of(counts: Sequence[int] | None) -> str:
    """How a set with so many images of every class is dealt, in a protocol; None where none are known."""
    return BY_INDEX if counts is None else within_classes(sum(count > 0 for count in counts))


def dealt(num: int, label: Tensor | None) -> tuple[Tensor, str]:
    """The groups (`num`,) of samples 0 to `num` - 1 for the jackknife, and how they were dealt, in a protocol.

    Args:
        num: Number of all samples.
        label: The class (`num`,) of each, within which they are dealt; None for samples without.
    """
    if label is None:
        return group_numbers(torch.arange(num)), BY_INDEX
    return groups_within(label), within_classes(len(label.unique()))


def random_parts(index: Tensor, parts: int) -> Tensor:
    """The part (N,) of every sample when all of them, in the order of their hash, are cut into parts of equal size."""
    place = torch.empty(len(index), dtype=torch.int64)
    place[hashed(index).argsort(stable=True)] = torch.arange(len(index))
    return place * parts // max(1, len(index))


def _shifted(state: Tensor, bits: int) -> Tensor:
    return (state >> bits) & ((1 << (64 - bits)) - 1)  # int64 repeats its sign to the right


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
