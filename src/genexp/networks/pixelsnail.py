"""PixelSNAIL: gated convolutions and attention to every earlier pixel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ToldBy
from genexp.networks.shifted import Begin, GatedResidual
from genexp.networks.told_pixels import PixelHead, ToldPixels, require_at_least


class PixelSNAIL(ToldPixels):
    """Blocks of gated residual convolutions, each followed by attention to all earlier pixels.

    Keys and values are of the image itself, the features and the place of a pixel, queries of features and place; a
    pixel sees those strictly before it, and one that is nothing, which the first has alone. `shape`, `levels`,
    `num_classes` and `told` are those of all `ToldPixels`.

    Reference: Chen et al., "PixelSNAIL: An Improved Autoregressive Generative Model" (2018), section 3; weights are not
    normalised here, and sizes are small by default.

    Args:
        width: Features of a pixel.
        blocks: Blocks, each with one attention.
        depth: Gated convolutions a block.
        heads: Attention heads.
        key_size: Features of a query and of a key in all heads, a multiple of `heads`; values have `width` / 2.
        dropout: Probability of dropping a feature inside a gated convolution.
        mixtures: Components of a mixture of logistics whose numbers are the outputs; None for logits of levels.

    Raises:
        ValueError: `shape` is none of an image, or a size is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        width: int = 32,
        blocks: int = 2,
        depth: int = 2,
        heads: int = 1,
        key_size: int = 16,
        dropout: float = 0.0,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        mixtures: int | None = None,
    ) -> None:
        super().__init__(shape, levels, width, num_classes, told)
        require_at_least(1, blocks=blocks, depth=depth, heads=heads)
        if key_size % heads or width % (2 * heads):
            raise ValueError(
                f"key_size and half of width must be multiples of heads={heads}, got {key_size} and {width}"
            )
        self.mixtures = mixtures
        self.begin = Begin(shape[0], width)
        size = width if self.reads else 0
        self.blocks = nn.ModuleList(
            _Block(shape[0], width, depth, heads, key_size, size, dropout) for _ in range(blocks)
        )
        self.head = PixelHead(width, shape[0], levels, mixtures)
        lines = [torch.linspace(-0.5, 0.5, side) for side in shape[1:]]
        self.register_buffer("places", torch.stack(torch.meshgrid(*lines, indexing="ij"))[None], persistent=False)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W), or to numbers (B, N, H, W) of mixtures."""
        vector = self.vector(condition)
        features = sum(self.begin(image))
        places = self.places.expand(image.shape[0], -1, -1, -1)
        for block in self.blocks:
            features = block(features, image, places, vector)
        return self.head(features, image)


class _Block(nn.Module):
    def __init__(
        self, channels: int, width: int, depth: int, heads: int, key_size: int, told: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            GatedResidual(width, (2, 2), left=True, told=told, dropout=dropout) for _ in range(depth)
        )
        self.attention = _EarlierPixels(width + channels + 2, width + 2, heads, key_size, width // 2)
        self.joined = GatedResidual(width, (1, 1), beside=width // 2, told=told, dropout=dropout)

    def forward(self, features: Tensor, image: Tensor, places: Tensor, vector: Tensor) -> Tensor:
        for layer in self.layers:
            features = layer(features, vector)
        asked = torch.cat([features, places], 1)
        return self.joined(features, vector, self.attention(torch.cat([image, asked], 1), asked))


class _EarlierPixels(nn.Module):
    """Attention of every pixel to those strictly before it, and to nothing at all."""

    def __init__(self, seen: int, asked: int, heads: int, key_size: int, value_size: int) -> None:
        super().__init__()
        self.heads, self.key_size = heads, key_size
        self.seen = nn.Sequential(nn.Conv2d(seen, seen, 1), nn.ELU(), nn.Conv2d(seen, key_size + value_size, 1))
        self.asked = nn.Sequential(nn.Conv2d(asked, asked, 1), nn.ELU(), nn.Conv2d(asked, key_size, 1))

    def forward(self, seen: Tensor, asked: Tensor) -> Tensor:
        """What is seen (B, seen, H, W) and what asks (B, asked, H, W) to features (B, value_size, H, W)."""
        k, v = (self._in_heads(each) for each in self.seen(seen).tensor_split([self.key_size], dim=1))
        k, v = (F.pad(each, (0, 0, 1, 0)) for each in (k, v))  # before all pixels, nothing
        pixels = k.shape[2] - 1
        before = torch.ones(pixels, pixels + 1, dtype=torch.bool, device=k.device).tril()
        mixed = F.scaled_dot_product_attention(self._in_heads(self.asked(asked)), k, v, before)
        return mixed.mT.flatten(1, 2).unflatten(2, seen.shape[2:])

    def _in_heads(self, features: Tensor) -> Tensor:
        """(B, F, H, W) to (B, heads, H W, F / heads)."""
        return features.flatten(2).unflatten(1, (self.heads, -1)).mT
