"""A vision transformer in the format of the published DINOv2 weights."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.networks.attention import self_attention

HEAD = 64
"""Channels of an attention head in every published model."""
OFFSET = 0.1
"""Added to the number of patches a side when position embeddings are interpolated, as the published code does."""


class VisionTransformer(nn.Module):
    """Patches with position embeddings and a class token through pre-norm blocks whose branches are scaled.

    Names and shapes of its tensors are those of DINOv2's state dicts for ViT-S, -B and -L with patches of 14 pixels,
    with or without registers. Position embeddings are interpolated (bicubic) to the grid of the image.

    References: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (2021);
    Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2024); Darcet et al., "Vision
    Transformers Need Registers" (2024).

    Args:
        width: Channels of a token.
        depth: Number of blocks.
        heads: Attention heads of a block.
        patch_size: Side of a patch in pixels.
        grid: Patches a side that position embeddings are stored for.
        registers: Number of register tokens.
        channels: Channels of the images.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        patch_size: int = 14,
        grid: int = 37,
        registers: int = 0,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide width={width}, got {heads}")
        self.patch_size, self.grid, self.registers = patch_size, grid, registers
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 1e-6)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + grid**2, width) * 0.02)
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        if registers:
            self.register_tokens = nn.Parameter(torch.randn(1, registers, width) * 1e-6)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(channels, width, patch_size, patch_size)})
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @classmethod
    def fitting(cls, state: dict[str, Tensor]) -> Self:
        """A network of the sizes of a published state dict, with heads of 64 channels; its weights are not yet loaded.

        Raises:
            ValueError: the state dict is of another network.
        """
        try:
            width, channels, patch_size, _ = state["patch_embed.proj.weight"].shape
            positions = state["pos_embed"].shape[1] - 1
        except (KeyError, ValueError) as error:
            raise ValueError(
                "weights must be DINOv2's state dict, patch_embed.proj.weight or pos_embed is off"
            ) from error
        if width % HEAD or round(positions**0.5) ** 2 != positions:
            raise ValueError(
                f"weights must have a width in multiples of {HEAD} and a square of positions, got {width}, {positions}"
            )
        depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
        return cls(width, depth, width // HEAD, patch_size, round(positions**0.5), registers, channels)

    def forward(self, image: Tensor) -> Tensor:
        """The class token after the last normalisation, (B, width), of images (B, C, H, W), whole patches a side.

        Raises:
            ValueError: a side of the images is no multiple of the patch size.
        """
        if image.shape[2] % self.patch_size or image.shape[3] % self.patch_size:
            raise ValueError(f"image must have sides in multiples of {self.patch_size}, got {tuple(image.shape[2:])}")
        patches = self.patch_embed["proj"](image)
        position = self._positions(*patches.shape[2:])
        tokens = torch.cat([self.cls_token.expand(image.shape[0], -1, -1), patches.flatten(2).mT], dim=1) + position
        if self.registers:
            tokens = torch.cat(
                [tokens[:, :1], self.register_tokens.expand(image.shape[0], -1, -1), tokens[:, 1:]], dim=1
            )
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])

    def _positions(self, rows: int, columns: int) -> Tensor:
        if (rows, columns) == (self.grid, self.grid):
            return self.pos_embed
        plane = self.pos_embed[:, 1:].mT.unflatten(2, (self.grid, self.grid))
        if self.registers:  # models with registers: to the size itself, with a filter
            plane = functional.interpolate(plane, (rows, columns), mode="bicubic", antialias=True)
        else:
            factors = ((rows + OFFSET) / self.grid, (columns + OFFSET) / self.grid)
            plane = functional.interpolate(plane, scale_factor=factors, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], plane.flatten(2).mT], dim=1)


class TransformerBlock(nn.Module):
    """x + g_1 attention(norm(x)), then x + g_2 perceptron(norm(x)), with one scale for every channel.

    Args:
        width: Channels of a token.
        heads: Attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.full((width,), 1e-5)}) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, width) to tokens of that shape."""
        mixed = self_attention(self.attn["qkv"](self.norm1(tokens)), self.heads)
        tokens = tokens + self.ls1["gamma"] * self.attn["proj"](mixed)
        hidden = functional.gelu(self.mlp["fc1"](self.norm2(tokens)))
        return tokens + self.ls2["gamma"] * self.mlp["fc2"](hidden)
