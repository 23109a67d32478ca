"""Convolutional blocks that several networks share: normalisation, a residual block under an embedding, resizing."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def group_norm(channels: int, groups: int = 32) -> nn.GroupNorm:
    """Group normalisation, epsilon 1e-6, in the largest number of groups up to `groups` that divides `channels` and
    leaves at least four channels a group.

    A group of a single channel would subtract whatever an embedding has added to that channel.
    """
    largest = max(1, min(groups, channels // 4))
    count = next(n for n in range(largest, 0, -1) if channels % n == 0)
    return nn.GroupNorm(count, channels, eps=1e-6)


@torch.no_grad()
def initialise(layer: nn.Module, scale: float = 1.0) -> None:
    """Uniform weights of variance `scale` / mean(fan in, fan out) and zero biases for a linear or convolution layer.

    Reference: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).

    Args:
        layer: The layer, changed in place.
        scale: Variance factor; 1e-10 makes a layer that starts at zero in all but name.
    """
    nn.init.xavier_uniform_(layer.weight, gain=scale**0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """Two normalised convolutions around a shortcut, told an embedding between them.

    h = conv1(resize(silu(norm1(x)))); y = shortcut(resize(x)) + conv2(dropout(silu(g))), where
    g = norm2(h + linear(silu(embedding))), or with `scale_shift`
    g = norm2(h) (1 + scale) + shift and (scale, shift) = linear(silu(embedding)).

    References: Ho et al., "Denoising Diffusion Probabilistic Models" (2020); scale and shift, and resizing within the
    block: Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), section 3.

    Args:
        channels: Input channels.
        out_channels: Output channels; where they differ, the shortcut is a 1x1 convolution.
        features: Size of the embedding.
        dropout: Probability of dropping a unit before the second convolution.
        groups: Largest number of normalisation groups.
        scale_shift: Scale and shift by the embedding after the second normalisation, not add it before.
        resize: Changes the resolution of the branch and of the shortcut, or None.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        features: int,
        dropout: float = 0.0,
        groups: int = 32,
        scale_shift: bool = False,
        resize: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.resize = nn.Identity() if resize is None else resize
        self.norm1 = group_norm(channels, groups)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.embedding = nn.Linear(features, 2 * out_channels if scale_shift else out_channels)
        self.norm2 = group_norm(out_channels, groups)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Features (B, channels, H, W) and embeddings (B, features) to features (B, out_channels, H, W), resized."""
        h = self.conv1(self.resize(F.silu(self.norm1(x))))
        told = self.embedding(F.silu(embedding))[:, :, None, None]
        if self.scale_shift:
            scale, shift = told.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + told)
        return self.shortcut(self.resize(x)) + self.conv2(self.dropout(F.silu(h)))


class Downsample(nn.Module):
    """Halve an image by a 3x3 convolution of stride 2, padded on the right and at the bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to (B, C, H / 2, W / 2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double an image by repeating pixels, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
