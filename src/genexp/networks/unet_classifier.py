"""The way down of a UNet as a classifier of noisy images."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import Downsample, ResidualBlock, group_norm
from genexp.networks.embeddings import TimeEmbedding


class UNetClassifier(nn.Module):
    """Residual blocks down to the smallest resolution, told the time; self-attention, the mean over pixels, logits.

    Level i has `width` * `multipliers[i]` channels at `image_size` / 2^i pixels.

    Reference: Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), section 4; their attention
    pooling is self-attention and a mean here.

    Args:
        channels: Channels of an image.
        image_size: Pixels a side; divisible by 2^(levels - 1).
        num_classes: Number of classes.
        width: Channels of the first level, even and at least 4.
        multipliers: Width of every level over `width`.
        blocks: Residual blocks a level.
        heads: Attention heads; divides the channels of the last level.
        dropout: Dropout probability inside the residual blocks, in [0, 1).
        groups: Largest number of normalisation groups.

    Raises:
        ValueError: `image_size` is not divisible, there are no levels or blocks, or `heads` does not divide.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        num_classes: int,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        heads: int = 1,
        dropout: float = 0.0,
        groups: int = 32,
    ) -> None:
        super().__init__()
        if not multipliers or blocks < 1:
            raise ValueError(f"multipliers and blocks must name at least one block, got {multipliers} and {blocks}")
        factor = 2 ** (len(multipliers) - 1)
        if image_size % factor:
            raise ValueError(
                f"image_size must be divisible by {factor} for {len(multipliers)} levels, got {image_size}"
            )
        features, current = 4 * width, width
        self.time = TimeEmbedding(width, features)
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.levels, self.downsamples = nn.ModuleList(), nn.ModuleList()
        for i, multiplier in enumerate(multipliers):
            level = width * multiplier
            counts = [current] + [level] * (blocks - 1)
            self.levels.append(
                nn.ModuleList(
                    ResidualBlock(each, level, features, dropout, groups, scale_shift=True) for each in counts
                )
            )
            self.downsamples.append(nn.Identity() if i == len(multipliers) - 1 else Downsample(level))
            current = level
        self.attention = PixelAttention(current, heads, groups)
        self.norm = group_norm(current, groups)
        self.head = nn.Linear(current, num_classes)

    def forward(self, image: Tensor, t: Tensor) -> Tensor:
        """Images (B, channels, H, W) and times (B,) to logits (B, num_classes)."""
        embedding, h = self.time(t), self.stem(image)
        for level, downsample in zip(self.levels, self.downsamples, strict=True):
            for block in level:
                h = block(h, embedding)
            h = downsample(h)
        return self.head(F.silu(self.norm(self.attention(h))).mean((2, 3)))
