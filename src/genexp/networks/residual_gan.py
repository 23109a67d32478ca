"""The residual generator and discriminator of SNGAN, SAGAN and BigGAN, for square images.

References: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018); Miyato and Koyama,
"cGANs with Projection Discriminator" (2018); Zhang et al., "Self-Attention Generative Adversarial Networks" (2019);
Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ReadsBeside, ToldBy, vectors_of
from genexp.networks.discriminator import Discriminator, with_planes
from genexp.networks.feature_norms import FEATURE_NORMS, ClassBatchNorm, NoNorm, VectorBatchNorm
from genexp.networks.layer_weights import LayerWeights, require_one_of
from genexp.networks.packing import packed
from genexp.networks.residual_blocks import DownBlock, UpBlock, attentions
from genexp.networks.residual_sizes import DISCRIMINATORS, GENERATORS, halved, of_size

CONDITIONINGS = ("norm", "shared", "latent")
POOLINGS = ("sum", "mean")


class ResidualGenerator(ReadsBeside):
    """Latents to images: a linear seed, then one residual block for every doubling of the size.

    With `skip_latent` the latent is cut into as many equal parts as there are the seed and blocks. The first makes the
    seed; each of the others enters the batch norms of its block, beside the class if that is `shared`.

    Args:
        image_size: Side of the square images in pixels.
        channels: Channels of the images.
        latent_size: Size of the latent.
        width: Channels that multipliers are factors of.
        multipliers: Channels of the seed and after every block, in widths; by default `GENERATORS` of the image size.
            As many doublings lead from the seed to the image.
        attention: Sizes in pixels after whose block there is self-attention, see `PooledAttention`.
        norm: Of features: `batch` or `none`.
        weight_norm: Of weights, but not of class embeddings: `spectral` or `none`.
        init: `orthogonal`, `xavier` or `normal`, see `LayerWeights`.
        num_classes: Number of classes; None for an unconditional generator.
        conditioning: Where conditions enter: `norm`, a gain and a bias of every class in the batch norms of blocks;
            `shared`, one vector of each that these gains and biases are linear in; or `latent`, a vector beside the
            latent. Without effect where nothing is told.
        embedding_size: Size of the vectors of `shared` and `latent`.
        skip_latent: Whether every block has a part of the latent of its own.
        told: What makes a vector of a further condition, with `shared` and `latent`, by its name.

    Raises:
        ValueError: an option is unknown or out of range, or goes with none of the others.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        latent_size: int = 128,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        attention: Sequence[int] = (),
        norm: str = "batch",
        weight_norm: str = "none",
        init: str = "orthogonal",
        num_classes: int | None = None,
        conditioning: str = "norm",
        embedding_size: int = 128,
        skip_latent: bool = False,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        require_one_of("norm", norm, ("batch", "none"))
        require_one_of("weight_norm", weight_norm, ("spectral", "none"))
        require_one_of("conditioning", conditioning, CONDITIONINGS)
        conditioning = conditioning if num_classes or told else "none"
        _require_place(conditioning, skip_latent, norm, told)
        if multipliers is None:
            multipliers = of_size(GENERATORS, "multipliers", image_size)
        if len(multipliers) < 2:
            raise ValueError(f"multipliers must have the seed and at least 1 block, got {list(multipliers)}")
        widths = [width * each for each in multipliers]
        self.seed_size = halved(image_size, len(widths) - 1, "multipliers")
        self.latent_shape, self.num_classes, self.conditioning = (latent_size,), num_classes, conditioning
        self.parts = len(widths) if skip_latent else 1
        if latent_size % self.parts:
            raise ValueError(f"latent_size must be divisible by {self.parts} for skip_latent=true, got {latent_size}")
        ready = LayerWeights(init, weight_norm)
        embedded = self._tell(embedding_size, told, LayerWeights(init), apart=conditioning != "norm")
        part = latent_size // self.parts
        self.seed = ready(nn.Linear(part + embedded * (conditioning == "latent"), widths[0] * self.seed_size**2))
        vector = part * skip_latent + embedded * (conditioning == "shared")

        def normed(count: int) -> nn.Module:
            if norm == "none":
                return NoNorm()
            if vector:
                return VectorBatchNorm(count, vector, ready)
            return ClassBatchNorm(count, num_classes if conditioning == "norm" else None, spread=0.0)

        self.blocks = nn.ModuleList(UpBlock(before, after, normed, ready) for before, after in pairwise(widths))
        sizes = [self.seed_size * 2**i for i in range(1, len(widths))]
        self.attentions = attentions(attention, sizes, widths[1:], ready)
        self.last_norm = NoNorm() if norm == "none" else ClassBatchNorm(widths[-1], spread=0.0)
        self.output = ready(nn.Conv2d(widths[-1], channels, 3, padding=1))

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) and a condition to images (B, C, H, W) in [-1, 1]."""
        self.require_told(condition)
        first, *parts = latent.chunk(self.parts, 1)
        if self.conditioning == "latent":
            first = self.beside(first, condition)
        h = self.seed(first).unflatten(1, (-1, self.seed_size, self.seed_size))
        for i, (block, told) in enumerate(zip(self.blocks, self._told(parts, condition), strict=True)):
            h = block(h, told)
            if str(i) in self.attentions:
                h = self.attentions[str(i)](h)
        return self.output(self.last_norm(h, None).relu()).tanh()

    def _told(self, parts: list[Tensor], condition: Condition) -> list[Tensor | None]:
        """What every block is told: a vector (B, F), classes (B,), or nothing."""
        if self.conditioning == "shared":
            vector = torch.cat(vectors_of(condition, self.embedding, self.told), 1)
            parts = [torch.cat([vector, part], 1) for part in parts] or [vector] * len(self.blocks)
        return parts or [condition.get("label")] * len(self.blocks)


class ResidualDiscriminator(Discriminator):
    """Images to scores: residual blocks, of which the first ones halve the size, then pooling over all pixels.

    Args:
        image_size: Side of the square images in pixels.
        channels: Channels of the images.
        width: Channels that multipliers are factors of.
        multipliers: Channels after every block, in widths; by default `DISCRIMINATORS` of the image size.
        halvings: How many blocks halve the size, the first ones; by default likewise.
        wide: Whether a block changes the number of channels in its first convolution (SAGAN, BigGAN), not in its second
            (SNGAN).
        attention: Sizes in pixels after whose first block there is self-attention, see `PooledAttention`.
        norm: Of features, not in the first block: `none`, `layer`, `instance` or `batch`, see `FEATURE_NORMS`.
        weight_norm: Of weights, the class embedding included: `spectral`, `weight` or `none`.
        init: `orthogonal`, `xavier` or `normal`, see `LayerWeights`.
        pooling: `sum` over pixels, or their `mean` (WGAN-GP).
        settings: Everything else that a `Discriminator` takes; with `conditioning` `concat` a vector of each condition
            stands in as many planes beside the image as the image has.

    Raises:
        ValueError: an option is unknown or out of range, or goes with none of the others.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        halvings: int | None = None,
        wide: bool = True,
        attention: Sequence[int] = (),
        norm: str = "none",
        weight_norm: str = "spectral",
        init: str = "orthogonal",
        pooling: str = "sum",
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        require_one_of("norm", norm, ("none", *FEATURE_NORMS))
        require_one_of("pooling", pooling, POOLINGS)
        if multipliers is None:
            multipliers = of_size(DISCRIMINATORS, "multipliers", image_size)[0]
        if not multipliers:
            raise ValueError("multipliers must have at least 1 block, got []")
        if halvings is None:
            halvings = of_size(DISCRIMINATORS, "halvings", image_size)[1]
        if not 0 <= halvings <= len(multipliers):
            raise ValueError(f"halvings must lie in 0 .. {len(multipliers)}, the blocks of multipliers, got {halvings}")
        self.pooling = pooling
        ready = LayerWeights(init, weight_norm)
        normed = FEATURE_NORMS[norm] if norm in FEATURE_NORMS else lambda count: nn.Identity()
        self.planes = self._tell(channels, ready) if self.concatenated else None
        widths = [(self.pack + self.count_beside) * channels, *(width * each for each in multipliers)]
        self.blocks = nn.ModuleList(
            DownBlock(before, after, normed, ready, halve=i < halvings, wide=wide, first=i == 0)
            for i, (before, after) in enumerate(pairwise(widths))
        )
        last = halved(image_size, halvings, "halvings")
        sizes = [max(last, image_size // 2 ** (i + 1)) for i in range(len(multipliers))]
        self.attentions = attentions(attention, sizes, widths[1:], ready)
        self._judge_by(widths[-1], ready)

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) and what they are told to features (B, F), of packs (ceil(B / n), F)."""
        if self.concatenated:
            image = with_planes(image, vectors_of(condition, self.planes, self.told))
        h = packed(image, self.pack)
        for i, block in enumerate(self.blocks):
            h = block(h)
            if str(i) in self.attentions:
                h = self.attentions[str(i)](h)
        h = h.relu()
        return h.sum((2, 3)) if self.pooling == "sum" else h.mean((2, 3))


def _require_place(conditioning: str, skip_latent: bool, norm: str, told: ToldBy | None) -> None:
    """Refuse conditions or parts of the latent that have nowhere to enter."""
    if told and conditioning == "norm":
        raise ValueError(f"conditioning must be shared or latent with told of {', '.join(told)}, got 'norm'")
    if norm != "batch" and conditioning in ("norm", "shared"):
        raise ValueError(f"norm must be batch for conditioning={conditioning}, got {norm!r}")
    if norm != "batch" and skip_latent:
        raise ValueError(f"norm must be batch for skip_latent=true, got {norm!r}")
    if skip_latent and conditioning == "norm":
        raise ValueError("conditioning must be shared or latent for skip_latent=true, got 'norm'")
