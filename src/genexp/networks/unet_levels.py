"""The resolutions of a UNet: residual blocks, self-attention and attention to what it is told."""

from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor, nn

from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import Downsample, ResidualBlock, Upsample
from genexp.networks.cross_attention import PixelCrossAttention, Untold
from genexp.networks.tokens import Tokens

After = Callable[[Tensor], Tensor]
"""What is done to the features (B, C, H, W) behind every place of self-attention, whether there is any or not."""


def unchanged(h: Tensor) -> Tensor:
    """The features."""
    return h


class Common(TypedDict):
    """What all residual blocks of a network share."""

    features: int
    dropout: float
    groups: int
    scale_shift: bool


class Middle(nn.Module):
    """A residual block, self-attention and a residual block at the smallest resolution."""

    def __init__(self, channels: int, heads: int, common: Common, attends: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, **common) for _ in range(2))
        self.attentions = nn.ModuleList([PixelAttention(channels, heads, common["groups"])])
        self.crossings = _crossings(channels, 1, heads if attends else 0, common)

    def forward(self, h: Tensor, embedding: Tensor, texts: Tokens | None, after: After = unchanged) -> Tensor:
        """Features (B, C, H, W), vectors (B, features) and what is attended to: features."""
        h = after(self.crossings[0](self.attentions[0](self.blocks[0](h, embedding)), texts))
        return self.blocks[1](h, embedding)


class AttendingLevel(nn.Module):
    """The blocks of one resolution, from so many channels each to `width`, and what changes it behind them."""

    def __init__(
        self, inputs: list[int], width: int, heads: int, resize: nn.Module | None, common: Common, attends: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(count, width, **common) for count in inputs)
        self.attentions = _attentions(width, len(inputs), heads, common["groups"])
        self.crossings = _crossings(width, len(inputs), heads if attends else 0, common)
        self.resize = resize


class DownLevel(AttendingLevel):
    """The blocks of one resolution on the way down; every result is kept as a skip."""

    def forward(
        self, h: Tensor, embedding: Tensor, skips: list[Tensor], texts: Tokens | None, after: After = unchanged
    ) -> Tensor:
        """Features (B, channels, H, W) to (B, width, H / 2, W / 2), or as large as they were on the last level."""
        for block, attention, crossing in zip(self.blocks, self.attentions, self.crossings, strict=True):
            h = after(crossing(attention(block(h, embedding)), texts))
            skips.append(h)
        if self.resize is not None:
            h = _resized(self.resize, h, embedding)
            skips.append(h)
        return h


class UpLevel(AttendingLevel):
    """The blocks of one resolution on the way up; every block takes the latest skip as further channels."""

    def forward(
        self, h: Tensor, embedding: Tensor, skips: list[Tensor], texts: Tokens | None, after: After = unchanged
    ) -> Tensor:
        """Features (B, channels, H, W) to (B, width, 2 H, 2 W), or as large as they were on the first level."""
        for block, attention, crossing in zip(self.blocks, self.attentions, self.crossings, strict=True):
            h = after(crossing(attention(block(torch.cat([h, skips.pop()], 1), embedding)), texts))
        return h if self.resize is None else _resized(self.resize, h, embedding)


def _attentions(channels: int, count: int, heads: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(PixelAttention(channels, heads, groups) if heads else nn.Identity() for _ in range(count))


def _crossings(channels: int, count: int, heads: int, common: Common) -> nn.ModuleList:
    sizes = (channels, common["features"], heads, common["groups"])
    return nn.ModuleList(PixelCrossAttention(*sizes) if heads else Untold() for _ in range(count))


def heads_of(channels: int, heads: int, head_channels: int | None) -> int:
    """Number of attention heads, as given or by their channels.

    Raises:
        ValueError: both are given, or the channels of a head do not divide.
    """
    if head_channels is None:
        return heads
    if heads != 1:
        raise ValueError(f"heads must be 1 where head_channels gives their number, got {heads}")
    if head_channels < 1 or channels % head_channels:
        raise ValueError(f"head_channels must divide the {channels} channels, got {head_channels}")
    return channels // head_channels


def downsample(channels: int, residual: bool, common: Common) -> nn.Module:
    """What halves a resolution, in a residual block or by a convolution."""
    return ResidualBlock(channels, channels, **common, resize=nn.AvgPool2d(2)) if residual else Downsample(channels)


def upsample(channels: int, residual: bool, common: Common) -> nn.Module:
    """What doubles a resolution, in a residual block or by a convolution."""
    if residual:
        return ResidualBlock(channels, channels, **common, resize=nn.Upsample(scale_factor=2.0, mode="nearest"))
    return Upsample(channels)


def _resized(layer: nn.Module, h: Tensor, embedding: Tensor) -> Tensor:
    return layer(h, embedding) if isinstance(layer, ResidualBlock) else layer(h)
