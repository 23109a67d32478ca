"""Which part of a set an image belongs to: random, and fixed by the image's index alone."""

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


def groups_of(index: Tensor, groups: int = GROUPS) -> Sequence[Tensor]:
    """Positions of the samples of every group."""
    numbers = group_numbers(index, groups)
    return [(numbers == number).nonzero().flatten() for number in range(groups)]


def random_parts(index: Tensor, parts: int) -> Tensor:
    """The part (N,) of every sample when all of them, in the order of their hash, are cut into parts of equal size."""
    place = torch.empty(len(index), dtype=torch.int64)
    place[hashed(index).argsort(stable=True)] = torch.arange(len(index))
    return place * parts // max(1, len(index))


def _shifted(state: Tensor, bits: int) -> Tensor:
    return (state >> bits) & ((1 << (64 - bits)) - 1)  # int64 repeats its sign to the right


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
