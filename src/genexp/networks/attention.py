"""Self-attention over tokens, and over the pixels of a feature map."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.networks.blocks import group_norm


def self_attention(projected: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(D)) v in every head, among all tokens of a sample.

    Args:
        projected: (..., N, 3 C): all queries, then all keys, then all values; within each, one head after the other.
        heads: Number of heads, of D = C / heads channels each.

    Returns:
        Mixed values (..., N, C).
    """
    q, k, v = projected.flatten(0, -3).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(*projected.shape[:-1], -1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v, where a token sees itself and those before it.

    Args:
        q: Queries (B, heads, N, D) of the last N of T tokens.
        k: Keys (B, heads, T, D).
        v: Values (B, heads, T, E).

    Returns:
        Mixed values (B, heads, N, E).
    """
    num, total = q.shape[2], k.shape[2]
    if num == total:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.ones(num, total, dtype=torch.bool, device=q.device).tril(total - num) if num > 1 else None
    return F.scaled_dot_product_attention(q, k, v, mask)


class KeyValues:
    """Keys and values of the tokens so far, so that a further token costs one query.

    Args:
        like: A tensor of the kind of number and on the device that they are in.
        shape: (B, heads, T, D), of T tokens at most.
    """

    def __init__(self, like: Tensor, shape: tuple[int, int, int, int]) -> None:
        self.keys, self.values, self.count = like.new_zeros(shape), like.new_zeros(shape), 0

    def joined(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All so far, with those of N further tokens (B, heads, N, D), which are remembered."""
        end = self.count + k.shape[2]
        self.keys[:, :, self.count : end], self.values[:, :, self.count : end] = k, v
        self.count = end
        return self.keys[:, :, :end], self.values[:, :, :end]


class PixelAttention(nn.Module):
    """Multi-head self-attention among all pixels, normalised first and added to its input.

    y = x + project(softmax(q k^T / sqrt(D)) v) with D = channels / heads.

    Rows of `project_in` hold all queries, then all keys, then all values; within each, one head after the other.

    Reference: Vaswani et al., "Attention Is All You Need" (2017).

    Args:
        channels: Channels of input and output.
        heads: Number of heads; must divide `channels`.
        groups: Largest number of normalisation groups.

    Raises:
        ValueError: `heads` does not divide `channels`.
    """

    def __init__(self, channels: int, heads: int = 1, groups: int = 32) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"heads must divide the {channels} channels, got {heads}")
        self.heads = heads
        self.norm = group_norm(channels, groups)
        self.project_in = nn.Linear(channels, 3 * channels)
        self.project_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to features of the same shape."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)  # (B, H W, C)
        mixed = self_attention(self.project_in(pixels), self.heads)
        return x + self.project_out(mixed).transpose(1, 2).unflatten(2, x.shape[2:])


class PooledAttention(nn.Module):
    """Attention of every pixel to maxima of 2x2 pixels, added to its input by a learned gain that starts at 0.

    y = x + gain * out(softmax(q(x)^T pool(k(x))) pool(v(x))), by 1x1 convolutions without biases to an eighth of the
    channels for queries and keys, and to half of them for values.

    Written out, because a gradient penalty needs second derivatives, which fused attention lacks.

    Reference: Zhang et al., "Self-Attention Generative Adversarial Networks" (2019); pooling as in their code and in
    Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019).

    Args:
        channels: Channels of input and output, at least 8.
        ready: Initialises and normalises the convolutions.

    Raises:
        ValueError: `channels` is below 8.
    """

    def __init__(self, channels: int, ready: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"channels must be at least 8 where there is attention, got {channels}")
        self.query, self.key = (ready(nn.Conv2d(channels, channels // 8, 1, bias=False)) for _ in range(2))
        self.value = ready(nn.Conv2d(channels, channels // 2, 1, bias=False))
        self.out = ready(nn.Conv2d(channels // 2, channels, 1, bias=False))
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W), at least 2x2, to features of the same shape."""
        query = self.query(x).flatten(2)
        key, value = (F.max_pool2d(layer(x), 2).flatten(2) for layer in (self.key, self.value))
        share = (query.mT @ key).softmax(-1)  # (B, H W, H W / 4)
        return x + self.gain * self.out((value @ share.mT).unflatten(2, x.shape[2:]))
