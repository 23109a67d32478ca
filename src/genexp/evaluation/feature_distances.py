"""Distances between feature vectors, exact to float32, block by block: no matrix of all pairs is ever held.

They are screened in float32, with a bound on what that can be wrong by. What the bound leaves open is screened again in
float64 where it is much, and taken from the difference of the two vectors where it is little. So every answer is that
of distances which are exact to float32, whatever the size of the vectors, and most of the work is one product of
matrices in float32.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

BLOCK = 1024
"""Rows and columns of a block of distances."""

_PAIRS_AT_ONCE = 1 << 19
_MUCH = 1 / 64
_ROUNDING = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


def distances(rows: Tensor, columns: Tensor) -> Tensor:
    """Euclidean distances (R, W) between vectors (R, D) and vectors (R, W, D) of each, or (R,) of (R, D) and (R, D).

    Differences in float64, rounded to float32 last: a vector and its copy are at distance 0, and distances that are
    equal by construction compare equal.
    """
    rows = rows if rows.ndim == columns.ndim else rows[:, None]
    return (rows.double() - columns.double()).square_().sum(-1).sqrt_().float()


def distances_to(rows: Tensor, columns: Tensor, numbers: Tensor) -> Tensor:
    """Distances (R, W) of vectors (R, D) to those columns (N, D) that `numbers` (R, W) name; (R,) for numbers (R,)."""
    step = max(1, _PAIRS_AT_ONCE // max(1, rows.shape[1] * numbers[:1].numel()))
    parts = zip(rows.split(step), numbers.split(step), strict=True)
    return torch.cat([distances(row, columns[number]) for row, number in parts])


@dataclass(frozen=True)
class DistanceBlock:
    """The distances between some rows and some columns.

    Args:
        rows: Vectors (M, D).
        columns: Vectors (N, D).
        down: Which rows these are of all.
        across: Which columns these are of all.
        squared: Squares (M, N) of the distances times `scale`, in float32 or float64.
        slack: Largest error (M, 1) of `squared`.
        scale: A power of two by which squares neither overflow nor vanish.
    """

    rows: Tensor
    columns: Tensor
    down: slice
    across: slice
    squared: Tensor
    slack: Tensor
    scale: float

    def screened(self, radius: Tensor) -> tuple[Tensor, Tensor]:
        """Which distances (M, N) are below float32 radii (M, 1), (1, N) or (M, N), and for which that is left open."""
        limit = (radius.to(self.squared.dtype) * self.scale).square_()
        gap = self.squared - limit
        return gap < 0, gap.abs() <= self.slack + 4 * _ROUNDING[torch.float32] * limit

    def within(self, radius: Tensor, strictly: bool = False) -> Tensor:
        """Whether (M, N) distances are at most, or strictly below, float32 radii (M, 1), (1, N) or (M, N)."""
        inside, left_open = self.screened(radius)
        row, column = left_open.nonzero().unbind(1)
        if len(row) > _MUCH * inside.numel() and self.squared.dtype == torch.float32:
            return next(blocks(self.rows, self.columns, torch.float64)).within(radius, strictly)
        if len(row):
            exact, at = distances_to(self.rows[row], self.columns, column), radius.expand_as(inside)[row, column]
            inside[row, column] = exact < at if strictly else exact <= at
        return inside

    def of_columns(self, which: Tensor) -> "DistanceBlock":
        """The block of the columns `which` (K,) of these alone; its `across` is still that of all."""
        return replace(self, columns=self.columns[which], squared=self.squared[:, which])


def blocks(rows: Tensor, columns: Tensor, dtype: torch.dtype = torch.float32) -> Iterator[DistanceBlock]:
    """All distances between vectors (M, D) and (N, D), block by block: for some rows all columns, then the next rows.

    Args:
        rows: Vectors (M, D).
        columns: Vectors (N, D).
        dtype: What they are screened in, float32 or float64.
    """
    centre = _mean(columns)
    scale = _scale((rows, columns), centre)
    error = 2 * (rows.shape[1] + 16) * _ROUNDING[dtype]
    seen = [_centred(part, centre, scale, dtype) for part in columns.split(BLOCK) if len(part)]
    longest = max((float(square.amax()) for _, square in seen), default=0.0)
    for top in range(0, len(rows), BLOCK):
        down = slice(top, top + BLOCK)
        x, x_square = _centred(rows[down], centre, scale, dtype)
        slack = error * (x_square[:, None] + longest)
        for number, (y, y_square) in enumerate(seen):
            across = slice(number * BLOCK, (number + 1) * BLOCK)
            squared = torch.addmm(x_square[:, None] + y_square, x, y.mT, alpha=-2)
            yield DistanceBlock(rows[down], columns[across], down, across, squared, slack, scale)


def _mean(points: Tensor) -> Tensor:
    return sum(part.sum(0, dtype=torch.float64) for part in points.split(BLOCK)) / max(1, len(points))


def _scale(sets: Sequence[Tensor], centre: Tensor) -> float:
    """The power of two by which the largest coordinate, seen from the centre, lies in [0.5, 1)."""
    parts = [part for points in sets for part in points.split(BLOCK) if len(part)]
    largest = max((float((part.double() - centre).abs().amax()) for part in parts), default=0.0)
    return 2.0 ** -math.frexp(largest)[1]


def _centred(points: Tensor, centre: Tensor, scale: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Points (N, D) seen from the centre and scaled, and their squared lengths (N,)."""
    seen = ((points.double() - centre) * scale).to(dtype)
    return seen, seen.square().sum(1)
