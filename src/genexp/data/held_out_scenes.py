"""Combinations of scenes that training never shows: two shapes together, or a shape on one side of another."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genexp.data.held_out import number_of, spread
from genexp.data.scene_pictures import FACTORS, KINDS, scenes

Combinations = Literal["pairs", "relations"]
"""What is held out: two colours and shapes together, wherever each lies; or a colour and shape on a side of another."""
_SIDES = 4
"""What a shape can be to another: left of, above, right of and below it."""


def which_held_out(amount: float, of: Combinations, seed: int) -> Tensor:
    """Which of all scenes (21400,) are held out, all of two shapes that differ: colours, shapes and sides lose alike.

    Args:
        amount: A share of the combinations below 1, rounded, or a number of them from 1.
        of: Which combinations: 276 pairs, or 96 colours, shapes and sides.
        seed: Which ones.

    Raises:
        ValueError: `of` is unknown, or so many would leave a level that training never shows.
    """
    if of not in get_args(Combinations):
        raise ValueError(f"held_out_of must be one of {', '.join(get_args(Combinations))}, got {of!r}")
    every, shapes, colours = scenes(), len(FACTORS["shape"]), len(FACTORS["colour"])
    first, other = (every[f"{prefix}shape"] * colours + every[f"{prefix}colour"] for prefix in ("", "other_"))
    names = shapes * colours
    shown = torch.cat([one_hot(torch.arange(names) // colours), one_hot(torch.arange(names) % colours)], 1)
    related = every["kind"] == KINDS.index("related")
    if of == "pairs":
        pairs = torch.combinations(torch.arange(names))
        shows = torch.cat([shown, torch.eye(names, dtype=torch.int64)], 1)[pairs].sum(1)
        left_out = spread(shows, number_of(amount, len(pairs), of), seed, of)
        found = torch.zeros(names, names, dtype=torch.bool)
        found[pairs[left_out].unbind(1)] = True
        return (found | found.T)[first, other] & related
    combinations = torch.cartesian_prod(torch.arange(names), torch.arange(_SIDES))
    shows = torch.cat([shown[combinations[:, 0]], one_hot(combinations[:, 1])], 1)
    left_out = spread(shows, number_of(amount, len(combinations), of), seed, of).view(names, _SIDES)
    relation = every["relation"].clamp(min=0)
    return (left_out[first, relation] | left_out[other, relation + 2]) & related
