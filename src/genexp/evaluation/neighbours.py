"""Exact nearest neighbours among feature vectors, block by block: no matrix of all pairs is ever held."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

BLOCK = 1024
"""Rows and columns of a block of distances."""

_CLOSE = 1e-7
_ELEMENTS = 1 << 21


def distances(rows: Tensor, columns: Tensor, centre: Tensor | None = None) -> Tensor:
    """Euclidean distances (M, N) between vectors (M, D) and (N, D), correct to float32 whatever their size.

    |x|^2 + |y|^2 - 2 x.y in float64 after subtracting a centre; pairs so close that this still cancels are taken from
    their difference, so the distance of a vector from its copy is exactly 0. The result is rounded to float32 last:
    distances that are equal by construction compare equal whichever block they come from.

    Args:
        rows: Vectors (M, D).
        columns: Vectors (N, D).
        centre: The point (D,) to subtract; by default the mean of `columns`.
    """
    centre = _mean(columns) if centre is None else centre
    x, y = rows.double() - centre, columns.double() - centre
    x_square, y_square = x.square().sum(1)[:, None], y.square().sum(1)
    squared = torch.addmm(x_square + y_square, x, y.mT, alpha=-2)
    close = (squared < _CLOSE * (x_square + y_square)).nonzero()
    for pairs in close.split(max(1, _ELEMENTS // x.shape[1])):
        row, column = pairs.T
        squared[row, column] = (x[row] - y[column]).square().sum(1)
    return squared.clamp_(min=0).sqrt_().float()


def blocks(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """All distances between vectors (M, D) and (N, D) in blocks: the rows, the columns, and their distances."""
    centre = _mean(columns)
    for top in range(0, len(rows), BLOCK):
        for left in range(0, len(columns), BLOCK):
            down, across = slice(top, top + BLOCK), slice(left, left + BLOCK)
            yield down, across, distances(rows[down], columns[across], centre)


def smallest_distances(rows: Tensor, columns: Tensor, k: int, own: Tensor | None = None) -> Tensor:
    """Distances (M, k) to the k nearest columns in ascending order, infinite where there are fewer.

    Args:
        rows: Vectors (M, D).
        columns: Vectors (N, D).
        k: Number of neighbours.
        own: For every column (N,) the number of the row that is the same sample, which is no neighbour of it; other
            samples with the same features are neighbours at distance 0.
    """
    found = torch.full((len(rows), k), torch.inf)
    for down, across, distance in blocks(rows, columns):
        _exclude(distance, down, across, own)
        joined = torch.cat([found[down], distance], dim=1)
        found[down] = joined.topk(k, dim=1, largest=False, sorted=True).values
    return found


def nearest_few(rows: Tensor, columns: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances (M, k) and numbers (M, k) of the k nearest columns, nearest first; all columns if there are fewer."""
    width = min(k, len(columns))
    values = torch.full((len(rows), width), torch.inf)
    numbers = torch.zeros(len(rows), width, dtype=torch.int64)
    for down, across, distance in blocks(rows, columns):
        inside = torch.arange(across.start, across.start + distance.shape[1]).expand(len(distance), -1)
        joined, owners = torch.cat([values[down], distance], 1), torch.cat([numbers[down], inside], 1)
        order = joined.topk(width, dim=1, largest=False, sorted=True)
        values[down], numbers[down] = order.values, owners.gather(1, order.indices)
    return values, numbers


def nearest(rows: Tensor, columns: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance (M,) and number (M,) of the nearest column; the first one where several are equally near.

    Args:
        rows: Vectors (M, D).
        columns: Vectors (N, D), at least one beside the row's own.
        own: As for `smallest_distances`.
    """
    best = torch.full((len(rows),), torch.inf)
    which = torch.zeros(len(rows), dtype=torch.int64)
    for down, across, distance in blocks(rows, columns):
        _exclude(distance, down, across, own)
        value, column = distance.min(1)
        nearer = value < best[down]
        best[down] = torch.where(nearer, value, best[down])
        which[down] = torch.where(nearer, column + across.start, which[down])
    return best, which


def radii(points: Tensor, k: int) -> Tensor:
    """Distance (N,) of every point (N, D) to its k-th nearest other point."""
    return smallest_distances(points, points, k, own=torch.arange(len(points)))[:, -1]


def radii_without_groups(points: Tensor, groups: Sequence[Tensor], k: int) -> Tensor:
    """Distance to the k-th nearest other point, when one group of points is left out and when none is.

    The k nearest neighbours within every group are found once; leaving a group out leaves its columns out.

    Args:
        points: Vectors (N, D).
        groups: Positions of the members of every group; together all N.
        k: Number of neighbours; without any one group more than k points must remain.

    Returns:
        Radii (G + 1, N): row g without group g, the last row with all.
    """
    found = torch.stack([smallest_distances(points, points[members], k, own=members) for members in groups])
    rows = []
    for left_out in range(len(groups) + 1):
        kept = [number for number in range(len(groups)) if number != left_out]
        rows.append(found[kept].movedim(0, 1).flatten(1).kthvalue(k, dim=1).values)
    return torch.stack(rows)


def require_more_than(k: int, count: int, what: str) -> None:
    """Check that every sample has k others.

    Raises:
        ValueError: there are too few samples.
    """
    if count <= k:
        raise ValueError(f"{k} nearest neighbours need at least {k + 1} {what}, got {count}")


def _mean(points: Tensor) -> Tensor:
    return sum(part.sum(0, dtype=torch.float64) for part in points.split(BLOCK)) / max(1, len(points))


def _exclude(distance: Tensor, down: slice, across: slice, own: Tensor | None) -> None:
    if own is None:
        return
    row = own[across] - down.start
    inside = (row >= 0) & (row < len(distance))
    distance[row[inside], inside.nonzero().flatten()] = torch.inf
