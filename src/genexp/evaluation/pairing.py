"""Distances between pairs of images: matched by index, or drawn at random within a set."""

from collections.abc import Callable

import torch
from torch import Tensor

from genexp.evaluation.dealing import GROUPS
from genexp.evaluation.metrics.base import Value
from genexp.evaluation.summaries import FeatureStore
from genexp.evaluation.uncertainty import pseudo_values

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two batches of images (B, C, H, W) in [-1, 1] to one number a pair, (B,)."""


def require_matched(metric: str, generated: FeatureStore, reference: FeatureStore) -> None:
    """Check that every generated image has its real partner.

    Raises:
        ValueError: the two sets differ in number or in their indices, or are empty.
    """
    if generated.count != reference.count or generated.count == 0:
        raise ValueError(
            f"{metric} compares image i with image i and needs as many generated as real images, got {generated.count} "
            f"and {reference.count}"
        )
    if not torch.equal(generated.index, reference.index):
        raise ValueError(f"{metric} compares image i with image i and needs the same indices on both sides")


def between(distance: Distance, first: Tensor, second: Tensor, chunk: int) -> Tensor:
    """Distances (N,) of matched images (N, C, H, W), `chunk` pairs at a time."""
    return torch.cat([distance(a, b) for a, b in zip(first.split(chunk), second.split(chunk), strict=True)])


def within(distance: Distance, images: Tensor, pairs: Tensor, chunk: int) -> Tensor:
    """Distances (P,) of the pairs of positions `pairs` (P, 2) in a set of images (N, C, H, W)."""
    return torch.cat([distance(images[part[:, 0]], images[part[:, 1]]) for part in pairs.split(chunk)])


def seeded_pairs(count: int, most: int, seed: int) -> Tensor:
    """Pairs of different positions in [0, `count`): all of them if they are no more than `most`, else `most` random.

    Args:
        count: Number of images, at least 2.
        most: Largest number of pairs.
        seed: Seed of the choice.

    Returns:
        (P, 2) int64.

    Raises:
        ValueError: there are fewer than two images or no pair is asked for.
    """
    if count < 2:
        raise ValueError(f"a pair needs at least 2 images, got {count}")
    if most < 1:
        raise ValueError(f"pairs must be at least 1, got {most}")
    if count * (count - 1) // 2 <= most:
        return torch.combinations(torch.arange(count))
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(count, (most,), generator=generator)
    step = torch.randint(1, count, (most,), generator=generator)
    return torch.stack([first, (first + step) % count], dim=1)


def mean_of(measured: Tensor, group: Tensor, details: dict[str, float] | None = None) -> Value:
    """The mean of one number for every sample, with pseudo-values where all are finite.

    Args:
        measured: (N,).
        group: The group of every sample, (N,).
        details: Further numbers to report.
    """
    return _mean(measured, group[:, None], group, details)


def mean_of_pairs(measured: Tensor, pairs: Tensor, group: Tensor, details: dict[str, float] | None = None) -> Value:
    """The mean of one number for every pair; leaving a group of samples out leaves out all pairs that it is part of.

    Args:
        measured: (P,).
        pairs: Positions of the two samples of every pair, (P, 2).
        group: The group of every sample, (N,).
        details: Further numbers to report.
    """
    return _mean(measured, group[pairs], group[pairs.unique()], details)


def _mean(measured: Tensor, group: Tensor, sampled: Tensor, details: dict[str, float] | None) -> Value:
    measured = measured.double()
    value = float(measured.mean())
    left_out = [(group == number).any(1) for number in range(GROUPS)]
    enough = all(0 < int(out.sum()) < len(measured) for out in left_out)
    draws: list[float] = []
    if enough and bool(measured.isfinite().all()):
        sizes = sampled.bincount(minlength=GROUPS).tolist()
        draws = pseudo_values(value, [float(measured[~out].mean()) for out in left_out], sizes)
    return Value(value, tuple(draws), details or {})


def chunk_of(shape: tuple[int, ...], numbers: int = 1 << 19) -> int:
    """How many images of a shape hold about so many numbers; at least one."""
    return max(1, numbers // max(1, shape[0] * shape[1] * shape[2]))
