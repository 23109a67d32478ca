"""Blocks of residual generators and discriminators: around a shortcut, norm, activation and convolution, twice.

References: He et al., "Identity Mappings in Deep Residual Networks" (2016); in this form Gulrajani et al., "Improved
Training of Wasserstein GANs" (2017), and Miyato et al., "Spectral Normalization for Generative Adversarial Networks"
(2018).
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from genexp.networks.attention import PooledAttention
from genexp.networks.layer_weights import LayerWeights

BRANCH_GAIN = 2**0.5
"""Gain of the convolutions behind a ReLU where weights begin by `xavier`; those of shortcuts have 1."""

Normed = Callable[[int], nn.Module]


class UpBlock(nn.Module):
    """Features at twice the size: double(shortcut(x)) + conv2(relu(norm2(conv1(double(relu(norm1(x))))))).

    Pixels are repeated. The shortcut is a 1x1 convolution, before the repetition because they commute.

    Args:
        before: Input channels.
        after: Output channels.
        norm: Makes a norm for so many channels, called with features and what the block is told.
        ready: Initialises and normalises layers.
    """

    def __init__(self, before: int, after: int, norm: Normed, ready: LayerWeights) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(before), norm(after)
        self.conv1 = ready(nn.Conv2d(before, after, 3, padding=1), BRANCH_GAIN)
        self.conv2 = ready(nn.Conv2d(after, after, 3, padding=1), BRANCH_GAIN)
        self.shortcut = ready(nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor, told: Tensor | None) -> Tensor:
        """Features (B, before, H, W), told a class (B,), a vector (B, F) or nothing, to (B, after, 2 H, 2 W)."""
        h = self.conv1(_double(self.norm1(x, told).relu()))
        h = self.conv2(self.norm2(h, told).relu())
        return _double(self.shortcut(x)) + h


class DownBlock(nn.Module):
    """shortcut(halve(x)) + halve(conv2(relu(norm2(conv1(relu(norm1(x))))))), or without either `halve`.

    Halving takes the mean of 2x2 pixels. The shortcut is a 1x1 convolution, after the mean because they commute, and
    nothing where neither size nor channels change. The first block of a network reads an image: it has no norms, and
    no activation before its first convolution.

    Args:
        before: Input channels.
        after: Output channels.
        norm: Makes a norm for so many channels.
        ready: Initialises and normalises layers.
        halve: Whether the size is halved.
        wide: Whether the first convolution changes the number of channels, not the second.
        first: Whether this is the first block.
    """

    def __init__(
        self,
        before: int,
        after: int,
        norm: Normed,
        ready: LayerWeights,
        halve: bool = True,
        wide: bool = True,
        first: bool = False,
    ) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        hidden = after if wide or first else before
        self.norm1, self.norm2 = (nn.Identity() if first else norm(count) for count in (before, hidden))
        self.conv1 = ready(nn.Conv2d(before, hidden, 3, padding=1), BRANCH_GAIN)
        self.conv2 = ready(nn.Conv2d(hidden, after, 3, padding=1), BRANCH_GAIN)
        self.shortcut = ready(nn.Conv2d(before, after, 1)) if halve or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, before, H, W) to (B, after, H, W), or half as high and wide."""
        h = self.conv1(x if self.first else self.norm1(x).relu())
        h = self.conv2(self.norm2(h).relu())
        if self.halve:
            x, h = F.avg_pool2d(x, 2), F.avg_pool2d(h, 2)
        return self.shortcut(x) + h


def attentions(
    chosen: Sequence[int], sizes: Sequence[int], widths: Sequence[int], ready: LayerWeights
) -> nn.ModuleDict:
    """Self-attention by the index of the first block that ends at each of the chosen sizes.

    Args:
        chosen: Sizes in pixels.
        sizes: Those that blocks end at, in order.
        widths: Channels that blocks end with.
        ready: Initialises and normalises layers.

    Raises:
        ValueError: no block ends at a chosen size, or at a single pixel.
    """
    known = [size for size in sizes if size > 1]
    for size in chosen:
        if size not in known:
            raise ValueError(f"attention must be at sizes among {sorted(set(known))}, got {list(chosen)}")
    return nn.ModuleDict(
        {str(i): PooledAttention(widths[i], ready) for i in sorted(sizes.index(size) for size in set(chosen))}
    )


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
