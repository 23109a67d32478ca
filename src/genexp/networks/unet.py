"""The UNet of diffusion models: what a noisy image holds, at every scale."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import Downsample, ResidualBlock, Upsample, group_norm, initialise
from genexp.networks.classes import ReadsClass
from genexp.networks.embeddings import TimeEmbedding


class UNet(ReadsClass, nn.Module):
    """Residual blocks down to the smallest resolution and up again, joined by skips, told the time and the class.

    Level i has `width` * `multipliers[i]` channels at `image_size` / 2^i pixels. Every level has `blocks` residual
    blocks on the way down and one more on the way up, with self-attention after each at the resolutions of
    `attention`; the middle is a residual block, self-attention and a residual block. The last layer of every residual
    branch starts at almost zero.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020); Ronneberger et al., "U-Net" (2015).

    Args:
        channels: Channels of an image.
        image_size: Pixels a side; divisible by 2^(levels - 1).
        width: Channels of the first level.
        multipliers: Width of every level over `width`.
        blocks: Residual blocks a level.
        attention: Resolutions with self-attention; those that the network does not have are left out.
        heads: Attention heads; must divide the channels wherever there is attention.
        dropout: Dropout probability inside the residual blocks, in [0, 1).
        groups: Largest number of normalisation groups.
        num_classes: Number of classes, or None for an unconditional network. Label `num_classes` means "no class" and
            has an embedding of its own.
        outputs: Images in the output, side by side in its channels; 2 for a learned variance.
        told: Builds, from the size of the embedding, a module that maps a further condition to a vector which is added
            to the embedding of the time; by the name of the condition.

    Raises:
        ValueError: `image_size` is not divisible, or there are no levels or blocks.
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
    ) -> None:
        super().__init__()
        if not multipliers or blocks < 1:
            raise ValueError(f"multipliers and blocks must name at least one block, got {multipliers} and {blocks}")
        if image_size % 2 ** (len(multipliers) - 1):
            raise ValueError(
                f"image_size must be divisible by {2 ** (len(multipliers) - 1)} "
                f"for {len(multipliers)} levels, got {image_size}"
            )
        self.num_classes, self.outputs = num_classes, outputs
        widths = [width * factor for factor in multipliers]
        attended = [image_size // 2**i in attention for i in range(len(widths))]
        features = 4 * width
        common = {"features": features, "dropout": dropout, "groups": groups}

        self.time = TimeEmbedding(width, features)
        self.label = None if num_classes is None else nn.Embedding(num_classes + 1, features)
        self.told = nn.ModuleDict({name: build(features) for name, build in (told or {}).items()})
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        skips = [width]
        for i, level in enumerate(widths):
            last = i == len(widths) - 1
            self.down.append(_DownLevel(skips[-1], level, blocks, heads if attended[i] else 0, last, common))
            skips += [level] * (blocks if last else blocks + 1)
        self.middle = _Middle(widths[-1], heads, common)
        self.up = nn.ModuleList()
        current = widths[-1]
        for i, level in reversed(list(enumerate(widths))):
            taken = [skips.pop() for _ in range(blocks + 1)]
            self.up.append(_UpLevel(current, level, taken, heads if attended[i] else 0, i == 0, common))
            current = level
        self.norm = group_norm(width * multipliers[0], groups)
        self.head = nn.Conv2d(width * multipliers[0], outputs * channels, 3, padding=1)
        self._initialise()

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return (*super().reads, *self.told)

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Noisy images (B, channels, H, W), times (B,) and a condition to outputs (B, outputs * channels, H, W)."""
        label = self.label_of(condition)
        embedding = self.time(t)
        if self.label is not None:
            embedding = embedding + self.label(label)
        for name, module in self.told.items():
            embedding = embedding + module(condition[name])
        h = self.stem(x_t)
        skips = [h]
        for level in self.down:
            h = level(h, embedding, skips)
        h = self.middle(h, embedding)
        for level in self.up:
            h = level(h, embedding, skips)
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

    def __init__(self, channels: int, heads: int, common: dict[str, float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, **common) for _ in range(2))
        self.attentions = nn.ModuleList([PixelAttention(channels, heads, common["groups"])])

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        h = self.attentions[0](self.blocks[0](h, embedding))
        return self.blocks[1](h, embedding)


class _DownLevel(nn.Module):
    """The blocks of one resolution on the way down; every result is kept as a skip."""

    def __init__(
        self, channels: int, width: int, blocks: int, heads: int, last: bool, common: dict[str, float]
    ) -> None:
        super().__init__()
        inputs = [channels] + [width] * (blocks - 1)
        self.blocks = nn.ModuleList(ResidualBlock(count, width, **common) for count in inputs)
        self.attentions = _attentions(width, blocks, heads, common["groups"])
        self.resize = None if last else Downsample(width)

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            h = attention(block(h, embedding))
            skips.append(h)
        if self.resize is not None:
            h = self.resize(h)
            skips.append(h)
        return h


class _UpLevel(nn.Module):
    """The blocks of one resolution on the way up; every block takes the latest skip as further channels."""

    def __init__(
        self, channels: int, width: int, skips: list[int], heads: int, last: bool, common: dict[str, float]
    ) -> None:
        super().__init__()
        inputs = [channels] + [width] * (len(skips) - 1)
        self.blocks = nn.ModuleList(
            ResidualBlock(count + skip, width, **common) for count, skip in zip(inputs, skips, strict=True)
        )
        self.attentions = _attentions(width, len(skips), heads, common["groups"])
        self.resize = None if last else Upsample(width)

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            h = attention(block(torch.cat([h, skips.pop()], 1), embedding))
        return h if self.resize is None else self.resize(h)


def _attentions(channels: int, count: int, heads: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(PixelAttention(channels, heads, groups) if heads else nn.Identity() for _ in range(count))
