"""A transformer over the values of an image, one after the other, that remembers keys and values."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts.in_order import Place, Steps
from genexp.networks.attention import KeyValues, causal_attention
from genexp.networks.blocks import initialise
from genexp.networks.classes import ToldBy
from genexp.networks.positions import LearnedPlaces, RotaryPlaces
from genexp.networks.told_pixels import ToldPixels, require_at_least
from genexp.tensors import to_levels

POSITIONS = ("learned", "rotary")


class ImageTransformer(ToldPixels):
    """A decoder over tokens: those of the class and of the conditions, one to begin with, then those of the image.

    A token of the image stands for `block` values that follow each other in a row, by learned vectors for every level
    at every place of the block; it predicts the block after it. Within a block, values follow one another in the head.
    A condition that becomes several vectors (the words of a text) has as many tokens. Blocks of the network are x +
    attention(norm(x)), then x + perceptron(norm(x)). `shape`, `levels`, `num_classes` and `told` are those of all
    `ToldPixels`.

    References: Parmar et al., "Image Transformer" (2018); Chen et al., "Generative Pretraining from Pixels" (2020), for
    the plain decoder; Ramesh et al., "Zero-Shot Text-to-Image Generation" (2021), for text before the image; Su et al.,
    "RoFormer" (2021), for rotary positions.

    Args:
        width: Features of a token, a multiple of `heads`; with rotary positions of 4 times that.
        depth: Blocks, at least 1.
        heads: Attention heads.
        block: Values a token, a divisor of the W * C values of a row.
        positions: `learned` vectors for rows and columns, or `rotary`, which turns queries and keys by row and column.
        dropout: Probability of dropping a feature of what a branch adds.

    Raises:
        ValueError: `shape` is none of an image, or a size is out of range.
    """

    takes_tokens = True

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        block: int = 1,
        positions: str = "learned",
        dropout: float = 0.0,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(shape, levels, width, num_classes, told)
        require_at_least(1, depth=depth, heads=heads)
        channels, rows, columns = shape
        if width % heads:
            raise ValueError(f"width must be a multiple of heads={heads}, got {width}")
        if block < 1 or columns * channels % block:
            raise ValueError(f"block must divide the {columns * channels} values of a row, got {block}")
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {positions}")
        self.block, self.tokens = block, rows * columns * channels // block
        grid = (rows, columns * channels // block)
        learned = positions == "learned"
        self.places = LearnedPlaces(grid, width) if learned else None
        self.rotary = None if learned else RotaryPlaces(grid, channels, block, width, width // heads)
        self.values = nn.Embedding(block * levels, width)
        self.start = nn.Parameter(torch.empty(1, 1, width))
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.within = nn.Embedding(block * levels, width) if block > 1 else None
        self.spread = nn.Linear(width, block * width) if block > 1 else None
        self.head = nn.Linear(width, levels)
        self._initialise()

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""
        channels, height, width = self.shape
        blocks = self.levels_of(image)
        told = self._prefix(len(image), condition)
        tokens = self.following(blocks, told, 0, self.tokens - 1)
        features = self.features_of(tokens, -told.shape[1], None)[:, told.shape[1] :]
        logits = self.logits_of(features, blocks).flatten(1, 2)
        return logits.unflatten(1, (height, width, channels)).permute(0, 4, 3, 1, 2)

    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The outputs of the network for `num` images, place by place."""
        return _TokenSteps(self, self._prefix(num, condition), num)

    def levels_of(self, image: Tensor) -> Tensor:
        """Images (B, C, H, W) to levels (B, tokens, block) in the order of the values."""
        return to_levels(image, self.levels).movedim(1, -1).flatten(1).unflatten(1, (self.tokens, self.block))

    def following(self, blocks: Tensor, told: Tensor, first: int, last: int) -> Tensor:
        """The tokens from which the blocks `first` to `last` are predicted, with the prefix before that of block 0."""
        begin = [told, self.start.expand(len(blocks), -1, -1)] if first == 0 else []
        return torch.cat([*begin, self._embedded(blocks[:, max(first - 1, 0) : last])], 1)

    def features_of(self, tokens: Tensor, first: int, memory: Sequence[KeyValues] | None) -> Tensor:
        """Tokens (B, N, width), of which `first` says which block the first predicts, to features (B, N, width).

        Those of the prefix have numbers below 0.
        """
        place = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        added = self.places if self.places is not None else self.rotary.phases
        tokens = tokens + added(place)
        turn = None if self.rotary is None else self.rotary(place, tokens.dtype)
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, turn, None if memory is None else memory[number])
        return self.norm(tokens)

    def logits_of(self, features: Tensor, blocks: Tensor) -> Tensor:
        """Features (B, N, width) and the levels (B, N, block) of what they predict to logits (B, N, block, levels)."""
        if self.within is None:
            return self.head(features)[:, :, None]
        seen = self.within(self._numbered(blocks))
        before = seen.cumsum(2) - seen
        return self.head(F.gelu(self.spread(features).unflatten(2, (self.block, -1)) + before))

    def _prefix(self, num: int, condition: Condition) -> Tensor:
        """The tokens (num, L, width) of what is told."""
        parts = [part if part.ndim == 3 else part[:, None] for part in self.vectors(condition)]
        return torch.cat(parts, 1) if parts else self.start.new_zeros(num, 0, self.features)

    def _embedded(self, blocks: Tensor) -> Tensor:
        return self.values(self._numbered(blocks)).sum(2)

    def _numbered(self, blocks: Tensor) -> Tensor:
        """Levels at places of a block as rows of a table."""
        return blocks + torch.arange(self.block, device=blocks.device) * self.levels

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialise(module)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.2)
        for table in [self.values] if self.within is None else [self.values, self.within]:
            table.weight.data.copy_(_alike(self.levels, self.block, self.features))
        nn.init.normal_(self.start, std=0.2)
        nn.init.zeros_(self.head.weight)


def _alike(levels: int, block: int, width: int) -> Tensor:
    """Vectors (block * levels, width) to begin with, of which those of neighbouring levels are alike."""
    level = torch.arange(levels) / (levels - 1)
    waves = torch.cos(math.pi * torch.arange(min(levels, 8)) * level[:, None])
    return (waves @ torch.randn(block, waves.shape[1], width)).flatten(0, 1) * 0.2


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, turn: tuple[Tensor, Tensor] | None, memory: KeyValues | None) -> Tensor:
        """Tokens (B, N, width) after those that are remembered."""
        projected = self.project_in(self.norm1(tokens)).unflatten(2, (3, self.heads, -1))
        q, k, v = projected.permute(2, 0, 3, 1, 4)
        if turn is not None:
            q, k = (RotaryPlaces.turned(each, turn) for each in (q, k))
        if memory is not None:
            k, v = memory.joined(k, v)
        tokens = tokens + self.dropout(self.project_out(causal_attention(q, k, v).transpose(1, 2).flatten(2)))
        return tokens + self.dropout(self.outer(F.gelu(self.inner(self.norm2(tokens)))))


class _TokenSteps:
    """Keys and values of all blocks so far."""

    def __init__(self, network: ImageTransformer, told: Tensor, num: int) -> None:
        self.network, self.told, self.done = network, told, 0
        each = (network.blocks[0].heads, network.tokens + told.shape[1], network.features // network.blocks[0].heads)
        self.memory = [KeyValues(network.start, (num, *each)) for _ in network.blocks]
        self.features = told

    def __call__(self, image: Tensor, place: Place) -> Tensor:
        """Logits (B, levels) of the value."""
        channel, row, column = place
        channels, _, width = self.network.shape
        value = (row * width + column) * channels + channel
        block = value // self.network.block
        blocks = self.network.levels_of(image)
        if block >= self.done:
            tokens = self.network.following(blocks, self.told, self.done, block)
            first = self.done if self.done else -self.told.shape[1]
            self.features = self.network.features_of(tokens, first, self.memory)[:, -1:]
            self.done = block + 1
        logits = self.network.logits_of(self.features, blocks[:, block : block + 1])
        return logits[:, 0, value % self.network.block]
