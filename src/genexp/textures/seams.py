"""The cut through an overlap of two patches along which they differ least."""

import torch
from torch import Tensor


def cheapest_path(cost: Tensor) -> list[int]:
    """The column in every row of `cost` (H, W) of the path from top to bottom of the least sum.

    From one row to the next the path moves by at most one column. Of equal paths it is the one furthest left, seen
    from below. Found by dynamic programming.

    Reference: Efros and Freeman, "Image Quilting for Texture Synthesis and Transfer" (2001), section 2.1.
    """
    total = [cost[0].double()]
    for row in cost[1:].double():
        wall = total[-1].new_full((1,), torch.inf)
        above = torch.cat([wall, total[-1], wall])
        total.append(row + torch.stack([above[:-2], above[1:-1], above[2:]]).amin(0))
    column = int(total[-1].argmin())
    path = [column]
    for sums in reversed(total[:-1]):
        low = max(0, column - 1)
        column = low + int(sums[low : column + 2].argmin())
        path.append(column)
    return path[::-1]


def beyond(cost: Tensor) -> Tensor:
    """Which positions of an overlap (H, W) lie at or to the right of the cheapest path: they are the new patch's."""
    path = torch.tensor(cheapest_path(cost), device=cost.device)
    return torch.arange(cost.shape[1], device=cost.device) >= path[:, None]
