"""What an autoencoder's latents mean, as pictures: one unit after the other moved, the rest held."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.tensors import Grid

TRAVERSED_UNITS = 10
TRAVERSAL = (-3.0, -2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0)
"""Standard deviations of the prior at which a traversal shows a unit."""

Decode = Callable[[Tensor, Condition], Tensor]


def traversal(decode: Decode, latent: Tensor, unit: int, values: Sequence[float], condition: Condition) -> Tensor:
    """Images (len(values), C, H, W) of one latent (D,) while a single unit takes other values.

    Args:
        decode: Images of latents under a condition.
        latent: Where to start.
        unit: The unit that changes.
        values: What it takes.
        condition: What all images are decoded under, a row of each.

    Raises:
        ValueError: there is no such unit.
    """
    if not 0 <= unit < len(latent):
        raise ValueError(f"unit must lie in [0, {len(latent)}), got {unit}")
    latents = latent.repeat(len(values), 1)
    latents[:, unit] = latents.new_tensor(values)
    told = {name: rows.expand(len(values), *rows.shape[1:]) for name, rows in condition.items()}
    return decode(latents, told)


def traversals(decode: Decode, latent: Tensor, condition: Condition) -> Grid:
    """The units that vary most over latents (B, D), each moved from the first latent in a row of its own."""
    first = {name: rows[:1] for name, rows in condition.items()}
    units = latent.var(0, unbiased=False).argsort(descending=True)[:TRAVERSED_UNITS].tolist()
    rows = [traversal(decode, latent[0], unit, TRAVERSAL, first) for unit in units]
    across, down = [f"{z:g}" for z in TRAVERSAL], [f"unit {unit}" for unit in units]
    return Grid(torch.cat(rows), len(TRAVERSAL), across, down)
