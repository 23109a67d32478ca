"""Tokens that a network attends to: what it is told in more than one vector."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Tokens(NamedTuple):
    """What is attended to of every sample, and the same in one vector."""

    rows: Tensor
    """(B, N, F), zeros where nothing counts."""
    counted: Tensor
    """(B, N) truth values: which rows are there at all; at least one of a sample."""
    pooled: Tensor
    """(B, F)."""


def together(parts: Sequence[Tokens]) -> Tokens:
    """Tokens of several conditions of the same samples, one after the other; their vectors are added."""
    if len(parts) == 1:
        return parts[0]
    rows, counted, pooled = zip(*parts, strict=True)
    return Tokens(torch.cat(rows, 1), torch.cat(counted, 1), torch.stack(pooled).sum(0))


def attention_to(q: Tensor, k: Tensor, v: Tensor, counted: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(D)) v in every head, over the keys of the same sample that count.

    Args:
        q: Queries (B, M, C).
        k: Keys (B, N, C); one head after the other.
        v: Values (B, N, C).
        counted: Which keys count, (B, N).
        heads: Number of heads, of D = C / heads channels each.

    Returns:
        Mixed values (B, M, C).
    """
    q, k, v = (each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, counted[:, None, None]).transpose(1, 2).flatten(2)
