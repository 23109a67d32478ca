"""A transformer for what is one vector and no picture, such as the embedding of one: the prior of unCLIP."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.attending import AttendingNetwork
from genexp.networks.classes import ToldBy
from genexp.networks.text_encoder import TextBlock
from genexp.networks.tokens import Tokens


class PriorTransformer(AttendingNetwork):
    """A noisy sample as one token among those of what it is told, mixed by transformer blocks; one more token answers.

    The tokens are those of the words, one for the time and all that is told in a vector, the noisy sample, and a
    learned one whose place holds the output in the end. All see all others but for padding, which no token sees.
    `num_classes`, `self_conditioned`, `told` and `attended` are those of every `AttendingNetwork`.

    Reference: Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents" (2022), section 2.2,
    whose transformer looks back only and is also told CLIP's vector of the caption.

    Args:
        shape: Shape of one sample.
        width: Channels of a token; divisible by 4 and by `heads`.
        depth: Number of blocks, at least 1.
        heads: Attention heads of a block.
        outputs: Samples in the output, side by side on the first axis; 2 for a learned variance.

    Raises:
        ValueError: `depth` is below 1, or `heads` or 4 does not divide `width`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        num_classes: int | None = None,
        outputs: int = 1,
        self_conditioned: bool = False,
        told: ToldBy | None = None,
        attended: ToldBy | None = None,
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1 block, got {depth}")
        if width % 4 or heads < 1 or width % heads:
            raise ValueError(f"width must be divisible by 4 and by heads={heads}, got {width}")
        super().__init__(width, width, num_classes, told, self_conditioned=self_conditioned, attended=attended)
        self.shape, self.outputs = tuple(shape), outputs
        self.noisy = nn.Linear(prod(self.shape) * (1 + self_conditioned), width)
        self.places = nn.Parameter(0.02 * torch.randn(3, width))  # of the vector, the sample and the answer
        self.blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs * prod(self.shape))

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL, texts: Tokens | None = None
    ) -> Tensor:
        """Noisy samples (B, *shape), times (B,) and a condition to outputs (B, outputs * shape[0], *shape[1:]).

        `texts` is what `encode` makes of the condition, where that is known.

        Raises:
            ValueError: the samples have another shape, or the condition is not what the network reads.
        """
        if tuple(x_t.shape[1:]) != self.shape:
            raise ValueError(f"x_t must hold samples of shape {self.shape}, got {tuple(x_t.shape[1:])}")
        texts = self.encode(condition) if texts is None else texts
        vector, noisy = self.vector(t, condition, texts), self.noisy(self.seen(x_t, condition).flatten(1))
        h = torch.stack([vector, noisy, torch.zeros_like(noisy)], 1) + self.places
        counted = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        if texts is not None:
            h, counted = torch.cat([texts.rows, h], 1), torch.cat([texts.counted, counted], 1)
        for block in self.blocks:
            h = block(h, counted)
        return self.head(self.norm(h[:, -1])).unflatten(1, (self.outputs * self.shape[0], *self.shape[1:]))
