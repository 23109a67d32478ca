"""The generator of ESRGAN: residual blocks of dense convolutions, with the names of the published weights."""

from collections.abc import Mapping
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.pictures import OfPictures
from genexp.networks.restoration import RestorationNetwork

DOUBLINGS = 2
SHRUNK = {4: 1, 2: 2, 1: 4}
"""By the scale, how often smaller a picture is made first, by laying its pixels out as channels."""
_RESIDUAL = 0.2


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the block's input and all maps before; 0.2 of the last is added.

    Args:
        width: Channels of the block.
        growth: Channels that each of the first four adds.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for i in range(1, 6):
            layer = nn.Conv2d(width + (i - 1) * growth, growth if i < 5 else width, 3, padding=1)
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(0.1)
            nn.init.zeros_(layer.bias)
            self.add_module(f"conv{i}", layer)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width, h, w) to the same shape."""
        seen = [features]
        for i in range(1, 5):
            seen.append(F.leaky_relu(self.get_submodule(f"conv{i}")(torch.cat(seen, 1)), 0.2))
        return features + _RESIDUAL * self.get_submodule("conv5")(torch.cat(seen, 1))


class ResidualInResidual(nn.Module):
    """Three dense blocks, 0.2 of which is added to what came in.

    Args:
        width: Channels.
        growth: Channels that a convolution of a dense block adds.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width, h, w) to the same shape."""
        return features + _RESIDUAL * self.rdb3(self.rdb2(self.rdb1(features)))


class Rrdb(RestorationNetwork):
    """Residual-in-residual dense blocks of the small picture, two doublings to the nearest pixel, three convolutions.

    For the scales 2 and 1 the pixels of squares of 2 or 4 are laid out as channels first, as in Real-ESRGAN. Layers are
    named as in BasicSR, whose weights it takes; like these it computes on pixels of [0, 1] and takes and gives [-1, 1].
    Convolutions inside the blocks begin at a tenth of their usual size.

    References: Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (2018), section 3.1;
    Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data" (2021), figure 4.

    Args:
        image_size: Side of the images of training.
        channels: Channels of the images.
        beside: The one picture; its side is that of the image over 4, 2 or 1, and divisible by 1, 2 or 4.
        depth: Residual-in-residual blocks; 23 in the paper.
        width: Channels; 64 in the paper.
        growth: Channels that a convolution of a dense block adds; 32 in the paper.

    Attributes:
        sizes: `depth`, `width` and `growth`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures],
        depth: int = 23,
        width: int = 64,
        growth: int = 32,
    ) -> None:
        super().__init__(image_size, beside)
        if self.scale not in SHRUNK:
            raise ValueError(f"beside must hold a picture smaller by one of 1, 2, 4, got {self.scale}")
        if min(depth, width, growth) < 1:
            raise ValueError(f"depth, width and growth must be at least 1, got {depth}, {width} and {growth}")
        self.shrunk, self.sizes = SHRUNK[self.scale], {"depth": depth, "width": width, "growth": growth}
        self.multiple = self.shrunk
        self.conv_first = nn.Conv2d(self.inputs * self.shrunk**2, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualInResidual(width, growth) for _ in range(depth)))
        self.conv_body, self.conv_up1, self.conv_up2, self.conv_hr = (
            nn.Conv2d(width, width, 3, padding=1) for _ in range(4)
        )
        self.conv_last = nn.Conv2d(width, channels, 3, padding=1)
        self.reach = ceil(2 + 15 * depth + 1 / 2 + 3 / 4) * self.shrunk + self.shrunk - 1

    def restored(self, picture: Tensor) -> Tensor:
        """Images of the pictures, whose sides must be divisible by 2 (scale 2) or 4 (scale 1)."""
        pixels = (picture + 1) / 2
        features = self.conv_first(F.pixel_unshuffle(pixels, self.shrunk) if self.shrunk > 1 else pixels)
        features = features + self.conv_body(self.body(features))
        for layer in (self.conv_up1, self.conv_up2):
            features = F.leaky_relu(layer(F.interpolate(features, scale_factor=2, mode="nearest")), 0.2)
        return 2 * self.conv_last(F.leaky_relu(self.conv_hr(features), 0.2)) - 1
