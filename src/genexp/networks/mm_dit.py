"""The multimodal diffusion transformer: patches and words attend to one another, each with weights of its own."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.dit import DiT, modulated, normalisation
from genexp.networks.tokens import Tokens, attention_to


class MMDiT(DiT):
    """Patches of a noisy image and tokens of what it is told, mixed by one attention over both in every block.

    Patches and words go side by side: each has its own normalisations, projections and perceptron, scaled, shifted and
    gated by the vector of time, pooled words and further conditions (adaLN-Zero), and only attention is joint. Words
    are so changed by the image, and are left behind after the last block, which changes patches alone. Gates start at
    zero, so every block starts as the identity, and the output starts at zero. Its arguments are those of `DiT`;
    without anything attended to it is a diffusion transformer of patches alone.

    Reference: Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (2024), section
    4 and figure 2, without the normalisation of queries and keys.


    Raises:
        ValueError: a size does not divide as it must, or there are no blocks.
    """

    def _block(self, width: int, heads: int, last: bool) -> nn.Module:
        return JointBlock(width, heads, last)

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL, texts: Tokens | None = None
    ) -> Tensor:
        """Noisy images (B, channels, H, W), times (B,) and a condition to outputs (B, outputs * channels, H, W).

        `texts` is what `encode` makes of the condition, where that is known.

        Raises:
            ValueError: H or W is not `image_size`, or the condition is not what the network reads.
        """
        self.require_size(x_t)
        texts = self.encode(condition) if texts is None else texts
        embedding = F.silu(self.vector(t, condition, texts))
        image = self.tokens_of(self.seen(x_t, condition))
        words = image[:, :0] if texts is None else texts.rows
        counted = words.new_zeros(words.shape[:2], dtype=torch.bool) if texts is None else texts.counted
        for block in self.blocks:
            image, words = block(image, words, counted, embedding)
        return self.images_of(image, embedding)

    def _initialise(self) -> None:
        super()._initialise()
        for block in self.blocks:
            for stream in (block.image, block.words):
                nn.init.zeros_(stream.modulation.weight)


class JointBlock(nn.Module):
    """One attention over patches and words, then a perceptron of each.

    Args:
        width: Channels of a token.
        heads: Attention heads; must divide `width`.
        last: Whether words are only looked at, and not changed.
    """

    def __init__(self, width: int, heads: int, last: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.image, self.words = _Stream(width), _Stream(width, seen_only=last)

    def forward(self, image: Tensor, words: Tensor, counted: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (B, M, width), words (B, N, width), which of these count (B, N), and activated embeddings (B, width)
        to patches and words.
        """
        num = image.shape[1]
        of_image, of_words = (
            stream.asked(tokens, embedding) for stream, tokens in ((self.image, image), (self.words, words))
        )
        q, k, v = torch.cat([of_image, of_words], 1).chunk(3, dim=2)
        there = torch.cat([counted.new_ones(image.shape[0], num), counted], 1)
        mixed = attention_to(q, k, v, there, self.heads)
        image = self.image.onward(image, mixed[:, :num], embedding)
        return image, self.words.onward(words, mixed[:, num:], embedding)


class _Stream(nn.Module):
    """The weights of one kind of tokens in a block; tokens that are seen only have none but for keys and values."""

    def __init__(self, width: int, seen_only: bool = False) -> None:
        super().__init__()
        self.seen_only = seen_only
        self.norm = normalisation(width)
        self.modulation = nn.Linear(width, (2 if seen_only else 6) * width)
        self.project_in = nn.Linear(width, 3 * width)
        if not seen_only:
            self.project_out = nn.Linear(width, width)
            self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def asked(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """Queries, keys and values (B, N, 3 width)."""
        shift, scale = self._modulation(embedding)[:2]
        return self.project_in(modulated(self.norm(tokens), shift, scale))

    def onward(self, tokens: Tensor, mixed: Tensor, embedding: Tensor) -> Tensor:
        """Tokens with what attention brought them, and with their perceptron."""
        if self.seen_only:
            return tokens
        _, _, gate1, shift2, scale2, gate2 = self._modulation(embedding)
        tokens = tokens + gate1 * self.project_out(mixed)
        hidden = F.gelu(self.inner(modulated(self.norm(tokens), shift2, scale2)), approximate="tanh")
        return tokens + gate2 * self.outer(hidden)

    def _modulation(self, embedding: Tensor) -> tuple[Tensor, ...]:
        return self.modulation(embedding)[:, None].chunk(2 if self.seen_only else 6, dim=2)
