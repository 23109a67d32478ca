"""Exact nearest neighbours among feature vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genexp.evaluation.feature_distances import BLOCK, DistanceBlock, blocks, distances_to

_SPARE = 8
_MARGIN = 1e-6


def nearest_few(rows: Tensor, columns: Tensor, k: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distances (M, w) and numbers (M, w) of the w = min(k, N) nearest columns, nearest first.

    Of equally near columns the first come first. A distance is infinite where there are fewer neighbours.

    Args:
        rows: Vectors (M, D).
        columns: Vectors (N, D).
        k: Number of neighbours.
        own: For every column (N,) the number of the row that is the same sample, which is no neighbour of it; other
            samples with the same features are neighbours at distance 0.
    """
    number, width = torch.arange(len(rows)), min(k, len(columns))
    candidates, certain = _candidates(rows, columns, min(k + _SPARE, len(columns)), own)
    exact = distances_to(rows, columns, candidates)
    values, near = _sorted(_without_own(exact, candidates, number, own), candidates, width)
    left_open = (~(values[:, -1] < certain)).nonzero()[:, 0] if candidates.shape[1] < len(columns) else number[:0]
    for some in left_open.split(BLOCK // 4 or 1):
        values[some], near[some] = _among_all(rows, columns, some, values[some, -1], own, width)
    return values, near


def smallest_distances(rows: Tensor, columns: Tensor, k: int, own: Tensor | None = None) -> Tensor:
    """Distances (M, k) to the k nearest columns, ascending, infinite where there are fewer; see `nearest_few`."""
    found = nearest_few(rows, columns, k, own)[0]
    return torch.nn.functional.pad(found, (0, k - found.shape[1]), value=torch.inf)


def nearest(rows: Tensor, columns: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance (M,) and number (M,) of the nearest column, the first of equally near ones; see `nearest_few`."""
    values, numbers = nearest_few(rows, columns, 1, own)
    return values[:, 0], numbers[:, 0]


def radii(points: Tensor, k: int) -> Tensor:
    """Distance (N,) of every point (N, D) to its k-th nearest other point."""
    return smallest_distances(points, points, k, own=torch.arange(len(points)))[:, -1]


def radii_without_groups(points: Tensor, groups: Sequence[Tensor], k: int) -> Tensor:
    """Distance to the k-th nearest other point, when one group of points is left out and when none is.

    A few more than k neighbours are found once; leaving a group out leaves those of it out. Where fewer than k remain,
    they are looked for among the others.

    Args:
        points: Vectors (N, D).
        groups: Positions of the members of every group; together all N.
        k: Number of neighbours; without any one group more than k points must remain.

    Returns:
        Radii (G + 1, N): row g without group g, the last row with all.
    """
    group = torch.zeros(len(points), dtype=torch.int64)
    for number, members in enumerate(groups):
        group[members] = number
    found, numbers = nearest_few(points, points, 4 * k, own=torch.arange(len(points)))
    rows = []
    for left_out in range(len(groups)):
        radius = found.masked_fill(group[numbers] == left_out, torch.inf).kthvalue(k, dim=1).values
        few = radius.isinf().nonzero()[:, 0]
        if len(few):
            others = (group != left_out).nonzero()[:, 0]
            own = torch.full((len(points),), -1).index_copy(0, few, torch.arange(len(few)))[others]
            radius[few] = smallest_distances(points[few], points[others], k, own)[:, -1]
        rows.append(radius)
    return torch.stack([*rows, found[:, k - 1]])


def require_more_than(k: int, count: int, what: str) -> None:
    """Check that every sample has k others.

    Raises:
        ValueError: there are too few samples.
    """
    if count <= k:
        raise ValueError(f"{k} nearest neighbours need at least {k + 1} {what}, got {count}")


def _candidates(rows: Tensor, columns: Tensor, width: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """Numbers (M, width) of columns that seem nearest, ascending, and a distance (M,) that no other is below."""
    found, certain = torch.empty(len(rows), width, dtype=torch.int64), torch.zeros(len(rows))
    squared, numbers = torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64)
    for block in blocks(rows, columns):
        _exclude(block, own)
        inside = torch.arange(len(columns))[block.across].expand_as(block.squared)
        begins, ends = block.across.start == 0, block.across.stop >= len(columns)
        joined = block.squared if begins else torch.cat([squared, block.squared], 1)
        owners = inside if begins else torch.cat([numbers, inside], 1)
        squared, order = joined.topk(min(width, joined.shape[1]), dim=1, largest=False, sorted=False)
        numbers = owners.gather(1, order)
        if ends:
            found[block.down] = numbers
            sure = (squared.amax(1) - block.slack[:, 0]).clamp_(min=0)
            certain[block.down] = sure.sqrt_() * (1 - _MARGIN) / block.scale
    return found.sort(1).values, certain


def _sorted(exact: Tensor, numbers: Tensor, width: int) -> tuple[Tensor, Tensor]:
    values, order = exact.sort(dim=1, stable=True)
    return values[:, :width].contiguous(), numbers.gather(1, order[:, :width])


def _among_all(
    rows: Tensor, columns: Tensor, some: Tensor, reach: Tensor, own: Tensor | None, width: int
) -> tuple[Tensor, Tensor]:
    """What `nearest_few` gives for some rows (R,) of many neighbours about as near, none farther than `reach` (R,)."""
    exact = torch.full((len(some), len(columns)), torch.inf)
    for block in blocks(rows[some], columns, torch.float64):
        inside, left_open = block.screened(reach[block.down, None])
        row, column = (inside | left_open).nonzero().unbind(1)
        exact[block.down, block.across][row, column] = distances_to(block.rows[row], block.columns, column)
    numbers = torch.arange(len(columns)).expand_as(exact)
    return _sorted(_without_own(exact, numbers, some, own), numbers, width)


def _without_own(exact: Tensor, numbers: Tensor, rows: Tensor, own: Tensor | None) -> Tensor:
    return exact if own is None else exact.masked_fill(own[numbers] == rows[:, None], torch.inf)


def _exclude(block: DistanceBlock, own: Tensor | None) -> None:
    if own is None:
        return
    row = own[block.across] - block.down.start
    inside = (row >= 0) & (row < len(block.squared))
    block.squared[row[inside], inside.nonzero().flatten()] = torch.inf
