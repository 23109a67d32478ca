"""Packs: several samples that a discriminator judges together, so that it sees how varied they are.

Reference: Lin, Khetan, Fanti and Oh, "PacGAN: The Power of Two Samples in Generative Adversarial Networks" (2018).
"""

from collections.abc import Collection
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class InPacks(Protocol):
    """A network that judges `pack` neighbours of a batch together."""

    pack: int


def require_pack(pack: int, num_classes: int | None, told: Collection[str] | None = None) -> None:
    """Refuse packs that cannot be.

    Raises:
        ValueError: `pack` is below 1, or above 1 in a network with classes or conditions that it is told by name.
    """
    if pack < 1:
        raise ValueError(f"pack must be at least 1 sample, got {pack}")
    if pack > 1 and num_classes:
        raise ValueError(f"pack must be 1 for a network with classes, got {pack}")
    if pack > 1 and told:
        raise ValueError(f"pack must be 1 for a network with told of {', '.join(told)}, got {pack}")


def packed(image: Tensor, pack: int) -> Tensor:
    """Neighbours in a batch joined along the first axis of a sample; an unfinished last pack takes the first samples.

    Args:
        image: Samples (B, C, ...).
        pack: Samples a pack, n.

    Returns:
        Packs (ceil(B / n), n C, ...).
    """
    if pack == 1:
        return image
    count = len(image)
    order = torch.arange(-(-count // pack) * pack, device=image.device) % count
    return image[order].unflatten(0, (-1, pack)).flatten(1, 2)


def unpacked(score: Tensor, pack: int, count: int) -> Tensor:
    """Scores of packs (ceil(B / n),) to scores (B,): every sample has that of its pack."""
    return score if pack == 1 else score.repeat_interleave(pack)[:count]
