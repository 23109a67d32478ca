"""Embeddings of diffusion times and of words."""

import math

import torch
from torch import Tensor, nn

from genexp.conditioning.kinds import Words

_LEVEL_WIDTH = 32


def sinusoidal(t: Tensor, width: int, longest_period: float = 10_000.0) -> Tensor:
    """Sines and cosines of a time at geometrically spaced frequencies: [sin(t w_0), ..., cos(t w_0), ...].

    w_i = longest_period^(-i / (half - 1)) for i = 0 .. half - 1 and half = width / 2, so both ends of the range
    of frequencies are reached. Computed in float32 whatever the precision of the network.

    Reference: Vaswani et al., "Attention Is All You Need" (2017); this order of halves and divisor as in Ho et al.,
    "Denoising Diffusion Probabilistic Models" (2020).

    Args:
        t: Times (B,).
        width: Size of the embedding, even and at least 4.
        longest_period: Period of the slowest wave over 2 pi.

    Returns:
        Embeddings (B, width), float32.

    Raises:
        ValueError: `width` is odd or below 4.
    """
    _require_width(width)
    half = width // 2
    places = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * (-math.log(longest_period) * places / (half - 1)).exp()
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def plane_positions(side: int, width: int) -> Tensor:
    """Sines and cosines of the column, then of the row, of every place of a square grid, row by row.

    Of a coordinate x: [sin(x w_0), ..., cos(x w_0), ...] with w_i = 10000^(-4 i / width) for i = 0 .. width / 4 - 1.

    Reference: Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023), after Vaswani et al. (2017).

    Args:
        side: Places a side.
        width: Size of an embedding, divisible by 4.

    Returns:
        Embeddings (side^2, width), float32.

    Raises:
        ValueError: `width` is not divisible by 4.
    """
    if width < 4 or width % 4:
        raise ValueError(f"width must be divisible by 4, got {width}")
    places = torch.arange(side, dtype=torch.float64)
    frequencies = 10_000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = places[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, width / 2)
    columns, rows = waves.expand(side, -1, -1), waves[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], dim=2).flatten(0, 1).float()


def _require_width(width: int) -> None:
    if width < 4 or width % 2:
        raise ValueError(f"width must be even and at least 4, got {width}")


class TimeEmbedding(nn.Module):
    """Sinusoids of the time through two linear layers.

    Args:
        width: Size of the sinusoidal embedding, even and at least 4.
        features: Size of the result.

    Raises:
        ValueError: `width` is odd or below 4.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        _require_width(width)
        self.width = width
        self.first = nn.Linear(width, features)
        self.second = nn.Linear(features, features)

    def forward(self, t: Tensor) -> Tensor:
        """Times (B,) to embeddings (B, features)."""
        waves = sinusoidal(t, self.width).to(self.first.weight.dtype)
        return self.second(nn.functional.silu(self.first(waves)))


class NoiseLevelEmbedding(nn.Module):
    """The level of the noise on a picture, its last channel, as a time is told: by sinusoids through two layers.

    Reference: Ho et al., "Cascaded Diffusion Models for High Fidelity Image Generation" (2022), section 4.2.

    Args:
        features: Size of the result.
        scale: What a level, which is about 1 at most, is multiplied by: sinusoids tell whole numbers apart.
    """

    def __init__(self, features: int, scale: float = 1000.0) -> None:
        super().__init__()
        self.scale = scale
        self.embedding = TimeEmbedding(_LEVEL_WIDTH, features)

    def forward(self, picture: Tensor) -> Tensor:
        """Pictures (B, C + 1, H, W), of which the last channel is one level each, to vectors (B, features)."""
        return self.embedding(self.scale * picture[:, -1, 0, 0])


class VectorEmbedding(nn.Module):
    """A vector through two linear layers, such as an image embedding.

    Reference: Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents" (2022), section 2.1,
    which adds the projected embedding to that of the time.

    Args:
        features: Size of the result.
        size: Size of the vector.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, features), nn.Linear(features, features)

    def forward(self, vector: Tensor) -> Tensor:
        """Vectors (B, size) to vectors (B, features)."""
        return self.second(nn.functional.silu(self.first(vector.to(self.first.weight.dtype))))


class NumbersEmbedding(nn.Module):
    """Several numbers, each by its sinusoids, one behind the other and through two layers.

    Reference: Podell et al., "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis" (2023),
    section 2.2 and algorithm 1.

    Args:
        features: Size of the result.
        count: How many numbers.
        width: Size of the sinusoids of one, even and at least 4.

    Raises:
        ValueError: `count` is below 1, or `width` odd or below 4.
    """

    def __init__(self, features: int, count: int = 2, width: int = 32) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        _require_width(width)
        self.count, self.width = count, width
        self.first, self.second = nn.Linear(count * width, features), nn.Linear(features, features)

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers (B, count) to vectors (B, features)."""
        waves = sinusoidal(numbers.flatten(), self.width).view(numbers.shape[0], -1).to(self.first.weight.dtype)
        return self.second(nn.functional.silu(self.first(waves)))


class WordEmbedding(nn.Module):
    """A text of numbered words to one vector: the sum over sqrt(length) of learned vectors, one for every word
    at every place.

    Args:
        features: Size of the result.
        text: The form of the texts.
    """

    def __init__(self, features: int, text: Words) -> None:
        super().__init__()
        self.text = text
        self.table = nn.Embedding(text.length * (len(text.words) + 1), features)

    def forward(self, text: Tensor) -> Tensor:
        """Texts (B, length) int64 to vectors (B, features)."""
        places = torch.arange(self.text.length, device=text.device) * (len(self.text.words) + 1)
        return self.table(text + places).sum(1) / self.text.length**0.5


class WordTokens(nn.Module):
    """A text of numbered words to as many vectors: of every word a learned one, plus one for its place.

    Args:
        features: Size of a vector.
        text: The form of the texts.
    """

    def __init__(self, features: int, text: Words) -> None:
        super().__init__()
        self.table = nn.Embedding(len(text.words) + 1, features)
        self.place = nn.Embedding(text.length, features)

    def forward(self, text: Tensor) -> Tensor:
        """Texts (B, length) int64 to vectors (B, length, features)."""
        return self.table(text) + self.place.weight
