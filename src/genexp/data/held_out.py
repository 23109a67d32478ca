"""Combinations of factors that training never shows, though it shows every level of every factor."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genexp.data.shape_pictures import FACTORS, MODES, factor_levels

Combinations = Literal["modes", "pairs"]
"""What is held out: single combinations of all five factors, or pairs of colour and shape with all that shows them."""

_FACTORS: dict[str, tuple[str, ...]] = {"modes": tuple(FACTORS), "pairs": ("shape", "colour")}


def held_out_modes(amount: float, of: Combinations = "modes", seed: int = 0) -> Tensor:
    """Which of the 960 modes (960,) are held out.

    The combinations are chosen one after the other: each time one whose levels have been held out the least, as shares
    of all that show them, the first such one in a random order. So all levels lose alike.

    Args:
        amount: A share of the combinations below 1, rounded, or a number of them from 1.
        of: Which combinations.
        seed: Seed of the order.

    Raises:
        ValueError: `of` is unknown, or so many would leave a level that training never shows.
    """
    if of not in _FACTORS:
        raise ValueError(f"held_out_of must be one of {', '.join(_FACTORS)}, got {of!r}")
    sizes = [len(FACTORS[name]) for name in _FACTORS[of]]
    total = math.prod(sizes)
    if not (0 <= amount < 1 or amount == int(amount)):
        raise ValueError(f"held_out must be a share below 1 or a whole number of {of}, got {amount}")
    count = round(amount * total) if amount < 1 else int(amount)
    if not 0 <= count <= total - max(sizes):
        most = total - max(sizes)
        raise ValueError(
            f"held_out must leave every level of every factor, at most {most} of {total} {of}, got {count}"
        )
    left_out = _chosen(sizes, count, seed)
    if not _all_shown(left_out):
        raise ValueError(f"held_out must leave every level of every factor, got {count} of {total} {of}: fewer, please")
    modes = factor_levels(torch.arange(MODES))
    return left_out[tuple(modes[name] for name in _FACTORS[of])]


def _chosen(sizes: Sequence[int], count: int, seed: int) -> Tensor:
    """So many entries of a table of the given sizes, as true ones."""
    left_out = torch.zeros(list(sizes), dtype=torch.bool)
    order = torch.randperm(left_out.numel(), generator=torch.Generator().manual_seed(seed)).view(list(sizes))
    for _ in range(count):
        loss = sum(
            left_out.double().mean([axis for axis in range(len(sizes)) if axis != own], keepdim=True)
            for own in range(len(sizes))
        )
        rank = torch.where(left_out, math.inf, loss + order / (order.numel() * left_out.numel()))
        left_out.view(-1)[rank.argmin()] = True
    return left_out


def _all_shown(left_out: Tensor) -> bool:
    return all(bool((~left_out).movedim(axis, 0).flatten(1).any(1).all()) for axis in range(left_out.ndim))
