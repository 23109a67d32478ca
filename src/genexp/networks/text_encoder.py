"""A small transformer that reads a caption in both directions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.kinds import Words
from genexp.networks.tokens import Tokens, attention_to


class TextEncoder(nn.Module):
    """A text of numbered words to a token for every word, by transformer blocks in which every word sees all others.

    A word is a learned vector plus one for its place; blocks are normalised first. Places after the last word do not
    count: no word sees them and their tokens are zeros, so that texts may be filled up to any length. A text without
    words is one learned token, which training on left-out captions teaches. The vector of a text is linear in the mean
    of its tokens.

    Words that are added to those of a trained encoder (`text.added`) have vectors of their own (`NewWords`).

    It is trained with the network that reads it. References: Vaswani et al., "Attention Is All You Need" (2017), for
    the blocks; Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 4.3.1,
    for an encoder that is trained with the diffusion model.

    Args:
        features: Size of a token and of the vector.
        text: The form of the texts.
        width: Channels inside; divisible by `heads`.
        depth: Number of blocks, at least 0.
        heads: Attention heads of a block.

    Raises:
        ValueError: `heads` does not divide `width`, or `depth` is negative.
    """

    def __init__(self, features: int, text: Words, width: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"heads must divide width={width}, got {heads}")
        if depth < 0:
            raise ValueError(f"depth must be at least 0 blocks, got {depth}")
        self.nothing = len(text.words) + 1
        self.known = len(text.words) - len(text.alike)
        self.table = nn.Embedding(self.known + 2, width)  # no word, the words, no words at all
        self.place = nn.Embedding(text.length, width)
        self.blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.tokens, self.vector = nn.Linear(width, features), nn.Linear(width, features)
        if text.alike:
            self.added = NewWords(self.table, text.alike)

    def forward(self, text: Tensor) -> Tokens:
        """Texts (B, L) int64 of at most `text.length` words to tokens (B, L, features)."""
        h, counted, vector = self.read(text)
        return Tokens(self.tokens(h) * counted[:, :, None], counted, vector)

    def read(self, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of every place (B, L, width), which places count (B, L), and the vectors (B, features)."""
        first = torch.zeros_like(text)
        first[:, 0] = self.nothing
        text = torch.where((text == 0).all(1, keepdim=True), first, text)
        counted = text != 0
        there = counted[:, :, None]
        h = F.embedding(text, self._vectors()) + self.place.weight[: text.shape[1]]
        for block in self.blocks:
            h = block(h, counted)
        h = self.norm(h)
        mean = (h * there).sum(1) / there.sum(1)
        return h, counted, self.vector(mean)

    def _vectors(self) -> Tensor:
        """The vector of every number that a text may have."""
        if self.known + 1 == self.nothing:
            return self.table.weight
        words, nothing = self.table.weight.split([self.known + 1, 1])
        return torch.cat([words, self.added.weight, nothing])


class NewWords(nn.Module):
    """Vectors (N, C) of words that a trained encoder has not been shown; each begins as that of a known one.

    Reference: Gal et al., "An Image is Worth One Word: Personalizing Text-to-Image Generation using Textual Inversion"
    (2023), section 3, where nothing else is trained (`adapters=additions`).

    Args:
        table: The vectors of the known ones.
        alike: The row of each that a new one begins as.
    """

    def __init__(self, table: nn.Embedding, alike: Sequence[int]) -> None:
        super().__init__()
        self._table, self.alike = [table], list(alike)  # in a list, so that it is no part of this one
        self.weight = nn.Parameter(torch.empty(len(alike), table.embedding_dim))
        self.begin_as_copy()

    @torch.no_grad()
    def begin_as_copy(self) -> None:
        """Give every word the vector that the known one has now."""
        self.weight.copy_(self._table[0].weight[self.alike])


class TextVector(TextEncoder):
    """The vector of a text alone, (B, features), by the blocks of `TextEncoder`; same arguments."""

    def __init__(self, features: int, text: Words, width: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__(features, text, width, depth, heads)
        del self.tokens

    def forward(self, text: Tensor) -> Tensor:
        """Texts (B, L) int64 of at most `text.length` words to vectors (B, features)."""
        return self.read(text)[2]


class TextBlock(nn.Module):
    """x + attention(norm1(x)), then x + perceptron(norm2(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h: Tensor, counted: Tensor) -> Tensor:
        q, k, v = self.project_in(self.norm1(h)).chunk(3, dim=2)
        h = h + self.project_out(attention_to(q, k, v, counted, self.heads))
        return h + self.outer(F.gelu(self.inner(self.norm2(h))))
