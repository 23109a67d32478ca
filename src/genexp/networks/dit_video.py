"""The space-time diffusion transformer: patches of a few frames as tokens, attention in space and in time."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.classes import ToldBy
from genexp.networks.dit import AdaptiveBlock, DiT
from genexp.networks.embeddings import sinusoidal
from genexp.networks.frames import ToldVideo

AttentionOver = Literal["factorised", "joint"]


class VideoDiT(ToldVideo, DiT):
    """Patches of `patch_frames` x `patch_size` x `patch_size` pixels, with positions in space and time, through blocks.

    With `attention=factorised` a block in which the patches of one moment see each other is followed by one in which
    the moments of one place do, told the time by sines and cosines. Gates start at zero, so that it begins as `DiT` of
    every moment, with the same names of layers. With `joint` all patches of a video see each other in every block, and
    `depth` blocks are all. Videos may have any number of frames that `patch_frames` divides. `num_classes`, `told` and
    `self_conditioned` are those of every `ToldNetwork`. All other arguments are those of `DiT`, of a frame; pictures
    beside may be first frames.

    References: Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023), for the blocks; Brooks et al.,
    "Video generation models as world simulators" (2024), for space-time patches; Ma et al., "Latte: Latent Diffusion
    Transformer for Video Generation" (2024), variant 1, for blocks in turn.

    Args:
        patch_frames: Frames of a patch.
        depth: Number of blocks, of factorised attention in space; there are as many in time.
        attention: `factorised` or `joint`.

    Raises:
        ValueError: a size does not divide as it must, there are no blocks, or `attention` is neither.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        patch_size: int = 4,
        patch_frames: int = 1,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        attention: AttentionOver = "factorised",
        num_classes: int | None = None,
        told: ToldBy | None = None,
        beside: Mapping[str, OfPictures] | None = None,
        self_conditioned: bool = False,
    ) -> None:
        if patch_frames < 1:
            raise ValueError(f"patch_frames must be at least 1, got {patch_frames}")
        if attention not in ("factorised", "joint"):
            raise ValueError(f"attention must be factorised or joint, got {attention!r}")
        super().__init__(
            channels * patch_frames,
            image_size,
            patch_size,
            width,
            depth,
            heads,
            num_classes,
            1,
            told,
            self_conditioned,
            beside,
        )
        self.patch_frames = patch_frames
        seen = channels * (1 + self_conditioned) + sum(self.beside.values())  # of a frame
        self.stem = nn.Linear(seen * patch_frames * patch_size**2, width)
        count = depth if attention == "factorised" else 0
        self.temporal = nn.ModuleList(AdaptiveBlock(width, heads) for _ in range(count))
        self._initialise()

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Noisy videos (B, T, C, H, W), times (B,) and a condition to outputs (B, T, C, H, W).

        Raises:
            ValueError: a size is not that of the network, `patch_frames` does not divide T, or the condition is not
                what the network reads.
        """
        self._require(x_t)
        embedding = F.silu(self.embedded(t, condition))
        seen = self.seen(x_t, condition)
        moments = seen.shape[1] // self.patch_frames
        patched = seen.unflatten(1, (moments, self.patch_frames)).flatten(2, 3)  # (B, moments, frames * C', H, W)
        tokens = self.tokens_of(patched.flatten(0, 1)).unflatten(0, (-1, moments))  # (B, moments, N, width)
        places = sinusoidal(torch.arange(moments, device=x_t.device), tokens.shape[-1]).to(tokens.dtype)
        mixed = self._in_turn(tokens, embedding, places) if self.temporal else self._at_once(tokens, embedding, places)
        made = self.images_of(mixed, embedding)  # (B, moments, frames * C, H, W)
        return made.unflatten(2, (self.patch_frames, -1)).flatten(1, 2)

    def _require(self, x_t: Tensor) -> None:
        if tuple(x_t.shape[3:]) != (self.image_size, self.image_size):
            raise ValueError(f"x_t must have {self.image_size} pixels a side, got {tuple(x_t.shape[3:])}")
        if x_t.shape[1] % self.patch_frames:
            raise ValueError(f"patch_frames must divide the {x_t.shape[1]} frames, got {self.patch_frames}")

    def _in_turn(self, tokens: Tensor, embedding: Tensor, places: Tensor) -> Tensor:
        for within, across in zip(self.blocks, self.temporal, strict=True):
            tokens = within(tokens, embedding)
            tokens = across(tokens.transpose(1, 2), embedding, places=places).transpose(1, 2)
        return tokens

    def _at_once(self, tokens: Tensor, embedding: Tensor, places: Tensor) -> Tensor:
        moments = tokens.shape[1]
        tokens = (tokens + places[:, None]).flatten(1, 2)
        for block in self.blocks:
            tokens = block(tokens, embedding)
        return tokens.unflatten(1, (moments, -1))
