"""Paths between two starting noises."""

import torch
from torch import Tensor

from genexp.tensors import expand_to


def slerp(first: Tensor, second: Tensor, weight: float | Tensor) -> Tensor:
    """Go along the arc from `first` to `second`: sin((1 - w) a) / sin(a) first + sin(w a) / sin(a) second.

    `a` is the angle between the two rows, all entries taken as one vector. Unlike a straight line, whose middle has too
    little variance, the arc stays where normal noise lies. Rows closer than a float can tell go along the line.

    Reference: Shoemake, "Animating Rotation with Quaternion Curves" (1985).

    Args:
        first: Starts (B, ...).
        second: Ends of the same shape.
        weight: 0 gives `first`, 1 gives `second`; one value, or one a row (B,).

    Returns:
        Points (B, ...) of the dtype of `first`.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"second must have the shape {tuple(first.shape)} of first, got {tuple(second.shape)}")
    weight = torch.as_tensor(weight, dtype=torch.float64, device=first.device).expand(len(first))
    a, b = first.double().flatten(1), second.double().flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    angle = cosine.clamp(-1, 1).acos()
    straight = angle.sin() < 1e-6
    safe = torch.where(straight, 1.0, angle.sin())
    keep = torch.where(straight, 1 - weight, ((1 - weight) * angle).sin() / safe)
    take = torch.where(straight, weight, (weight * angle).sin() / safe)
    return (expand_to(keep, first) * first + expand_to(take, second) * second).to(first.dtype)


def path(first: Tensor, second: Tensor, count: int) -> Tensor:
    """`count` points on the arc between every pair of rows, ends included: (B, count, ...).

    Raises:
        ValueError: `count` is below 2.
    """
    if count < 2:
        raise ValueError(f"count must be at least 2 points, got {count}")
    return torch.stack([slerp(first, second, i / (count - 1)) for i in range(count)], dim=1)
