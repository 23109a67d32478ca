"""Combinations of factors that training never shows, though it shows every level of every factor."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

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
    count = number_of(amount, total, of)
    if count > total - max(sizes):
        most = total - max(sizes)
        raise ValueError(
            f"held_out must leave every level of every factor, at most {most} of {total} {of}, got {count}"
        )
    every = torch.cartesian_prod(*[torch.arange(size) for size in sizes])
    shows = torch.cat([one_hot(levels, size) for levels, size in zip(every.unbind(1), sizes, strict=True)], 1)
    left_out = spread(shows, count, seed, of).view(sizes)
    modes = factor_levels(torch.arange(MODES))
    return left_out[tuple(modes[name] for name in _FACTORS[of])]


def number_of(amount: float, total: int, of: str) -> int:
    """How many of `total` combinations `held_out` says: a share of them below 1, rounded, or a number of them from 1.

    Raises:
        ValueError: it is neither.
    """
    if not (0 <= amount < 1 or (amount >= 1 and amount == int(amount))):
        raise ValueError(f"held_out must be a share below 1 or a whole number of {of}, got {amount}")
    return round(amount * total) if amount < 1 else int(amount)


def spread(shows: Tensor, count: int, seed: int, of: str) -> Tensor:
    """Which combinations (N,) are held out: so many, chosen one after the other so that all levels lose alike.

    Args:
        shows: How often a combination shows a level, (N, L).
        count: How many are chosen.
        seed: Seed of the order among those whose levels have lost the same.
        of: What they are called.

    Raises:
        ValueError: nothing that shows some level is left.
    """
    total, shows = len(shows), shows.double()
    left_out = torch.zeros(total, dtype=torch.bool)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    for _ in range(count):
        lost = (left_out.double() @ shows) / shows.sum(0)
        left_out[torch.where(left_out, math.inf, shows @ lost + order / total**2).argmin()] = True
    if bool((((~left_out).double() @ shows) == 0).any()):
        raise ValueError(f"held_out must leave every level of every factor, got {count} of {total} {of}: fewer, please")
    return left_out
