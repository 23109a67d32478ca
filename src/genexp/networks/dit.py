"""The diffusion transformer: patches of a noisy image as tokens."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.attending import AttendingNetwork
from genexp.networks.attention import self_attention
from genexp.networks.blocks import initialise
from genexp.networks.classes import ToldBy
from genexp.networks.cross_attention import CrossAttention, start_at_nothing
from genexp.networks.embeddings import plane_positions
from genexp.networks.tokens import Tokens

TIME_WAVES = 256
"""Size of the sinusoidal embedding of the time, whatever the width."""


class DiT(AttendingNetwork):
    """Square patches with sinusoidal positions through transformer blocks that the time and the class scale and shift.

    In every block the vector of time, class and further conditions gives a shift, a scale and a gate for each branch
    (adaLN-Zero). Gates start at zero, so every block starts as the identity, and the output starts at zero. The time's
    waves are those of `sinusoidal`: the published code divides by the number of frequencies, not by one less. Between
    the branches of every block stands cross-attention to what is attended to, which starts at zero, and its pooled
    vector is added to the embedding of the time, as in PixArt's blocks (Chen et al., 2024). `num_classes`, `told`,
    `beside`, `self_conditioned` and `attended` are those of every `AttendingNetwork`.

    Reference: Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023), section 3.2.

    Args:
        channels: Channels of an image.
        image_size: Pixels a side; divisible by `patch_size`.
        patch_size: Side of a patch in pixels.
        width: Channels of a token; divisible by 4 and by `heads`.
        depth: Number of blocks.
        heads: Attention heads of a block.
        outputs: Images in the output, side by side in its channels; 2 for a learned variance.

    Raises:
        ValueError: a size does not divide as it must, or there are no blocks.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        patch_size: int = 2,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        num_classes: int | None = None,
        outputs: int = 1,
        told: ToldBy | None = None,
        self_conditioned: bool = False,
        beside: Mapping[str, OfPictures] | None = None,
        attended: ToldBy | None = None,
    ) -> None:
        super().__init__(TIME_WAVES, width, num_classes, told, beside, self_conditioned, attended)
        if patch_size < 1 or image_size % patch_size:
            raise ValueError(f"patch_size must divide image_size={image_size}, got {patch_size}")
        if heads < 1 or width % heads:
            raise ValueError(f"heads must divide width={width}, got {heads}")
        if depth < 1:
            raise ValueError(f"depth must be at least 1 block, got {depth}")
        self.image_size, self.patch_size, self.outputs = image_size, patch_size, outputs
        patch = channels * patch_size**2
        self.register_buffer("positions", plane_positions(image_size // patch_size, width), persistent=False)
        seen = channels * (1 + self_conditioned) + sum(self.beside.values())
        self.stem = nn.Linear(seen * patch_size**2, width)
        self.blocks = nn.ModuleList(self._block(width, heads, i == depth - 1) for i in range(depth))
        self.norm = normalisation(width)
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, outputs * patch)
        self._initialise()

    def _block(self, width: int, heads: int, last: bool) -> nn.Module:
        return AdaptiveBlock(width, heads, bool(self.attends))

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
        tokens = self.tokens_of(self.seen(x_t, condition))
        for block in self.blocks:
            tokens = block(tokens, embedding, texts)
        return self.images_of(tokens, embedding)

    def require_size(self, x_t: Tensor) -> None:
        """Raise ValueError unless images (B, C, H, W) are of the size of the network."""
        if x_t.shape[2:] != (self.image_size, self.image_size):
            raise ValueError(f"x_t must have {self.image_size} pixels a side, got {tuple(x_t.shape[2:])}")

    def tokens_of(self, seen: Tensor) -> Tensor:
        """What is seen (B, C, H, W) as tokens (B, N, width) of patches, with their positions."""
        patches = F.pixel_unshuffle(seen, self.patch_size)  # (B, C patch_size^2, rows, columns)
        return self.stem(patches.flatten(2).mT) + self.positions

    def images_of(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """Tokens (B, ..., N, width) and activated embeddings (B, width) to images (B, ..., C, H, W)."""
        shift, scale = _beside(self.modulation(embedding), tokens).chunk(2, dim=-1)
        patches = self.head(modulated(self.norm(tokens), shift, scale)).mT
        return F.pixel_shuffle(patches.unflatten(-1, (-1, self.image_size // self.patch_size)), self.patch_size)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialise(module)
        for module in (self.time.first, self.time.second, self.label):
            if module is not None:
                nn.init.normal_(module.weight, std=0.02)
        blocks = [module.modulation for module in self.modules() if isinstance(module, AdaptiveBlock)]
        for layer in (self.modulation, self.head, *blocks):
            nn.init.zeros_(layer.weight)
        start_at_nothing(self.modules())


class AdaptiveBlock(nn.Module):
    """x + g_1 attention(m_1(x)), then x + g_2 perceptron(m_2(x)), where m(x) = norm(x) (1 + scale) + shift.

    Shift, scale and gate of both branches are linear in an embedding, with weights that a network starts at zero. One
    that attends adds, between the two, cross-attention of x to tokens that it is told.

    Args:
        width: Channels of a token.
        heads: Attention heads; must divide `width`.
        attends: Whether it attends to tokens of `width` channels.
    """

    def __init__(self, width: int, heads: int, attends: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.norm = normalisation(width)
        self.modulation = nn.Linear(width, 6 * width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.crossing = CrossAttention(width, width, heads) if attends else None

    def forward(
        self, tokens: Tensor, embedding: Tensor, texts: Tokens | None = None, places: Tensor | None = None
    ) -> Tensor:
        """Tokens (B, ..., N, width) and activated embeddings (B, width) to tokens; attention is among N of them.

        `texts` are attended to by a block that attends. `places` (N, width) are positions that the attention alone
        sees, or None.
        """
        told = _beside(self.modulation(embedding), tokens)
        shift1, scale1, gate1, shift2, scale2, gate2 = told.chunk(6, dim=-1)
        placed = tokens if places is None else tokens + places
        mixed = self_attention(self.project_in(modulated(self.norm(placed), shift1, scale1)), self.heads)
        tokens = tokens + gate1 * self.project_out(mixed)
        if self.crossing is not None:
            tokens = tokens + self.crossing(tokens, texts)
        hidden = F.gelu(self.inner(modulated(self.norm(tokens), shift2, scale2)), approximate="tanh")
        return tokens + gate2 * self.outer(hidden)


def normalisation(width: int) -> nn.LayerNorm:
    """Of tokens, without weights: what follows is scaled and shifted by an embedding."""
    return nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)


def _beside(told: Tensor, tokens: Tensor) -> Tensor:
    """What every sample is told (B, F), so that it goes with all of its tokens (B, ..., N, width)."""
    return told.reshape(told.shape[0], *[1] * (tokens.ndim - 2), -1)


def modulated(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """tokens (1 + scale) + shift."""
    return tokens * (1 + scale) + shift
