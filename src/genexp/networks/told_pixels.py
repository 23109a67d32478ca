"""What networks of one pixel value after the other have in common: shape, levels, and what they are told."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from genexp.conditioning.base import Condition
from genexp.logistics import initial_numbers, numbers_of
from genexp.networks.classes import ReadsVectors, ToldBy
from genexp.networks.embeddings import WordTokens
from genexp.networks.masked_convolution import MaskedConv2d


class ToldPixels(ReadsVectors):
    """A network of images at levels that is told one vector, the sum of those of the class and of other conditions.

    Args:
        shape: Of an image (C, H, W).
        levels: Values that a pixel may have.
        features: Size of the vector.
        num_classes: Number of classes, or None.
        told: What makes a vector of a further condition, by its name.

    Raises:
        ValueError: `shape` is none of an image, there are fewer than 2 levels, or a condition becomes several vectors
            where the network takes one.
    """

    takes_tokens = False
    """Whether a condition may become several vectors."""

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        features: int,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(features, num_classes, told)
        if len(shape) != 3:
            raise ValueError(f"shape must be that of images, [C, H, W], got {list(shape)}")
        if levels < 2:
            raise ValueError(f"levels must be at least 2, got {levels}")
        self.shape, self.levels, self.features = tuple(shape), levels, features
        for name, module in self.told.items():
            if isinstance(module, WordTokens) and not self.takes_tokens:
                raise ValueError(f"told must make one vector of {name}, as WordEmbedding does, got WordTokens")

    def vector(self, condition: Condition) -> Tensor:
        """Their sum (B, features); zeros (1, features) where it reads nothing."""
        parts = self.vectors(condition)
        like = next(self.parameters())
        return torch.stack(parts).sum(0) if parts else like.new_zeros(1, self.features)


def require_at_least(least: int, **sizes: int) -> None:
    """Raise ValueError for the first of named sizes that is below `least`."""
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")


class PixelHead(nn.Module):
    """From features of earlier pixels to logits of every channel given the channels before it, or to a mixture.

    The logits of channel c are linear in relu(A_c features + sum_{d < c} b_cd x_d), with x the pixel itself; at the
    start they are 0. The parameters of a mixture are linear in relu(features) and see nothing of the pixel: its
    channels follow one another by the coefficients of the mixture.

    Args:
        features: Features of a pixel.
        channels: Channels of an image.
        levels: Outputs of every channel, without `mixtures`.
        mixtures: Components of a mixture of discretised logistics, or None.
    """

    def __init__(self, features: int, channels: int, levels: int, mixtures: int | None = None) -> None:
        super().__init__()
        self.channels, self.levels, self.mixtures = channels, levels, mixtures
        alone = mixtures is not None or channels == 1
        self.spread = None if alone else nn.Conv2d(features, channels * features, 1)
        self.before = None if alone else MaskedConv2d(channels, channels * features, 1, channels, itself=False)
        if mixtures is None:
            self.last = nn.Conv2d(channels * features, channels * levels, 1, groups=channels)
            nn.init.zeros_(self.last.bias)
        else:
            self.last = nn.Conv2d(features, numbers_of(channels, mixtures), 1)
            self.last.bias.data.copy_(initial_numbers(channels, mixtures))
        nn.init.zeros_(self.last.weight)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Features (B, F, H, W) and images (B, C, H, W) to logits (B, levels, C, H, W) or numbers (B, N, H, W)."""
        if self.spread is not None:
            features = self.spread(features) + self.before(image)
        found = self.last(relu(features))
        return found if self.mixtures is not None else found.unflatten(1, (self.channels, -1)).transpose(1, 2)
