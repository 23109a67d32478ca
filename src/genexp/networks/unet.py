"""The UNet of diffusion models: what a noisy image holds, at every scale."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import Downsample, ResidualBlock, Upsample, group_norm, initialise
from genexp.networks.told import ToldNetwork


class Common(TypedDict):
    """What all residual blocks of a network share."""

    features: int
    dropout: float
    groups: int
    scale_shift: bool


After = Callable[[Tensor], Tensor]
"""What is done to the features (B, C, H, W) behind every place of self-attention, whether there is any or not."""


def unchanged(h: Tensor) -> Tensor:
    """The features."""
    return h


class UNet(ToldNetwork):
    """Residual blocks down to the smallest resolution and up again, joined by skips, told the time and the class.

    Level i has `width` * `multipliers[i]` channels at `image_size` / 2^i pixels. Every level has `blocks` residual
    blocks on the way down and one more on the way up, with self-attention after each at the resolutions of
    `attention`; the middle is a residual block, self-attention and a residual block. The last layer of every residual
    branch starts at almost zero.

    With `scale_shift`, `residual_resize` and `head_channels=64` it is the network of Dhariwal and Nichol.

    References: Ho et al., "Denoising Diffusion Probabilistic Models" (2020); Ronneberger et al., "U-Net" (2015);
    Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), section 3.

    Args:
        channels: Channels of an image.
        image_size: Pixels a side; divisible by 2^(levels - 1).
        width: Channels of the first level.
        multipliers: Width of every level over `width`.
        blocks: Residual blocks a level.
        attention: Resolutions with self-attention; those that the network does not have are left out.
        heads: Attention heads; must divide the channels wherever there is attention.
        head_channels: Channels of an attention head, in place of a number of heads; divides the channels wherever there
            is attention.
        scale_shift: Scale and shift by the embedding in the residual blocks, not add it.
        residual_resize: Change resolutions inside residual blocks, by means and by repetition of pixels, not by single
            convolutions.
        dropout: Dropout probability inside the residual blocks, in [0, 1).
        groups: Largest number of normalisation groups.
        num_classes: Number of classes, or None for an unconditional network. Label `num_classes` means "no class" and
            has an embedding of its own.
        outputs: Images in the output, side by side in its channels; 2 for a learned variance.
        told: Builds, from the size of the embedding, a module that maps a further condition to a vector which is added
            to the embedding of the time; by the name of the condition.
        beside: Conditions that are pictures, by name: brought to the size of the image, they are channels beside it.
        self_conditioned: Whether it reads its own last answer, see `SelfConditioning`.

    Raises:
        ValueError: `image_size` is not divisible, there are no levels or blocks, heads do not divide the channels, or
            are given by their number and by their channels.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (16,),
        heads: int = 1,
        dropout: float = 0.0,
        groups: int = 32,
        num_classes: int | None = None,
        outputs: int = 1,
        told: Mapping[str, Callable[[int], nn.Module]] | None = None,
        head_channels: int | None = None,
        scale_shift: bool = False,
        residual_resize: bool = False,
        beside: Mapping[str, OfPictures] | None = None,
        self_conditioned: bool = False,
    ) -> None:
        features = 4 * width
        super().__init__(width, features, num_classes, told, beside, self_conditioned)
        if not multipliers or blocks < 1:
            raise ValueError(f"multipliers and blocks must name at least one block, got {multipliers} and {blocks}")
        if image_size % 2 ** (len(multipliers) - 1):
            raise ValueError(
                f"image_size must be divisible by {2 ** (len(multipliers) - 1)} "
                f"for {len(multipliers)} levels, got {image_size}"
            )
        self.outputs = outputs
        widths = [width * factor for factor in multipliers]
        at = [image_size // 2**i in attention for i in range(len(widths))]
        attended = [_heads(each, heads, head_channels) if here else 0 for each, here in zip(widths, at, strict=True)]
        common = Common(features=features, dropout=dropout, groups=groups, scale_shift=scale_shift)
        seen = channels * (1 + self_conditioned) + sum(self.beside.values())
        self.stem = nn.Conv2d(seen, width, 3, padding=1)
        self.down = nn.ModuleList()
        skips = [width]
        for i, level in enumerate(widths):
            last = i == len(widths) - 1
            resize = None if last else _downsample(level, residual_resize, common)
            self.down.append(_DownLevel(skips[-1], level, blocks, attended[i], resize, common))
            skips += [level] * (blocks if last else blocks + 1)
        self.middle = _Middle(widths[-1], _heads(widths[-1], heads, head_channels), common)
        self.up = nn.ModuleList()
        current = widths[-1]
        for i, level in reversed(list(enumerate(widths))):
            taken = [skips.pop() for _ in range(blocks + 1)]
            resize = None if i == 0 else _upsample(level, residual_resize, common)
            self.up.append(_UpLevel(current, level, taken, attended[i], resize, common))
            current = level
        self.norm = group_norm(width * multipliers[0], groups)
        self.head = nn.Conv2d(width * multipliers[0], outputs * channels, 3, padding=1)
        self._initialise()

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Noisy images (B, channels, H, W), times (B,) and a condition to outputs (B, outputs * channels, H, W)."""
        embedding = self.embedded(t, condition)
        return self._through(self.seen(x_t, condition), embedding)

    def _through(self, seen: Tensor, embedding: Tensor, after: After = unchanged) -> Tensor:
        """All levels, for what is seen (B, ..., H, W) and embeddings (B, features); `after` follows every attention."""
        h = self.stem(seen)
        skips = [h]
        for level in self.down:
            h = level(h, embedding, skips, after)
        h = self.middle(h, embedding, after)
        for level in self.up:
            h = level(h, embedding, skips, after)
        return self.head(F.silu(self.norm(h)))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                initialise(module)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                initialise(module.conv2, scale=1e-10)
            elif isinstance(module, PixelAttention):
                initialise(module.project_out, scale=1e-10)
        initialise(self.head, scale=1e-10)


class _Middle(nn.Module):
    """A residual block, self-attention and a residual block at the smallest resolution."""

    def __init__(self, channels: int, heads: int, common: Common) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, **common) for _ in range(2))
        self.attentions = nn.ModuleList([PixelAttention(channels, heads, common["groups"])])

    def forward(self, h: Tensor, embedding: Tensor, after: After) -> Tensor:
        h = after(self.attentions[0](self.blocks[0](h, embedding)))
        return self.blocks[1](h, embedding)


class _DownLevel(nn.Module):
    """The blocks of one resolution on the way down; every result is kept as a skip."""

    def __init__(
        self, channels: int, width: int, blocks: int, heads: int, resize: nn.Module | None, common: Common
    ) -> None:
        super().__init__()
        inputs = [channels] + [width] * (blocks - 1)
        self.blocks = nn.ModuleList(ResidualBlock(count, width, **common) for count in inputs)
        self.attentions = _attentions(width, blocks, heads, common["groups"])
        self.resize = resize

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor], after: After) -> Tensor:
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            h = after(attention(block(h, embedding)))
            skips.append(h)
        if self.resize is not None:
            h = _resized(self.resize, h, embedding)
            skips.append(h)
        return h


class _UpLevel(nn.Module):
    """The blocks of one resolution on the way up; every block takes the latest skip as further channels."""

    def __init__(
        self, channels: int, width: int, skips: list[int], heads: int, resize: nn.Module | None, common: Common
    ) -> None:
        super().__init__()
        inputs = [channels] + [width] * (len(skips) - 1)
        self.blocks = nn.ModuleList(
            ResidualBlock(count + skip, width, **common) for count, skip in zip(inputs, skips, strict=True)
        )
        self.attentions = _attentions(width, len(skips), heads, common["groups"])
        self.resize = resize

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor], after: After) -> Tensor:
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            h = after(attention(block(torch.cat([h, skips.pop()], 1), embedding)))
        return h if self.resize is None else _resized(self.resize, h, embedding)


def _attentions(channels: int, count: int, heads: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(PixelAttention(channels, heads, groups) if heads else nn.Identity() for _ in range(count))


def _heads(channels: int, heads: int, head_channels: int | None) -> int:
    if head_channels is None:
        return heads
    if heads != 1:
        raise ValueError(f"heads must be 1 where head_channels gives their number, got {heads}")
    if head_channels < 1 or channels % head_channels:
        raise ValueError(f"head_channels must divide the {channels} channels, got {head_channels}")
    return channels // head_channels


def _downsample(channels: int, residual: bool, common: Common) -> nn.Module:
    return ResidualBlock(channels, channels, **common, resize=nn.AvgPool2d(2)) if residual else Downsample(channels)


def _upsample(channels: int, residual: bool, common: Common) -> nn.Module:
    if residual:
        return ResidualBlock(channels, channels, **common, resize=nn.Upsample(scale_factor=2.0, mode="nearest"))
    return Upsample(channels)


def _resized(layer: nn.Module, h: Tensor, embedding: Tensor) -> Tensor:
    return layer(h, embedding) if isinstance(layer, ResidualBlock) else layer(h)
