"""Encoders from an image to the parameters of its latent's distribution, and decoders from a latent to raw pixels.

Every encoder returns 2 * latent_size numbers (means, then log-variances); every decoder returns unbounded values of the
image's shape, which a likelihood interprets. `give` lets either return another count: an encoder as many numbers as its
posterior has, a decoder as many of a pixel as its likelihood. Normalisation is per sample, so no image depends on its
batch.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ToldBy
from genexp.networks.condition_bias import BiasedNetwork
from genexp.networks.layer_weights import WEIGHT_NORMS, require_one_of

CHANNELS_PER_GROUP = 8
MAX_WIDENING = 4
"""Feature maps double at every halving of the image, up to this many times `width`."""


class _Encoder(BiasedNetwork):
    """A network of so many numbers an image."""

    head: nn.Linear

    def give(self, numbers: int) -> None:
        """Return so many numbers an image."""
        if self.head.out_features != numbers:
            self.head = nn.Linear(self.head.in_features, numbers)


class MLPEncoder(_Encoder):
    """A fully connected encoder for data of any shape.

    Args:
        shape: Shape of one sample, (C, H, W) or (2,) for points.
        latent_size: Units of the latent.
        width: Hidden units of a layer.
        depth: Hidden layers.
        num_classes: Number of labels, or None.
        told: What makes a vector of a further condition, by its name.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_size: int,
        width: int = 256,
        depth: int = 2,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        _require_positive(latent_size=latent_size, width=width, depth=depth)
        self.stem = nn.Linear(math.prod(shape), width)
        self._tell(num_classes, width, told)
        self.body = _dense_layers(width, depth)
        self.head = nn.Linear(width, 2 * latent_size)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Samples (B, *shape) to posterior parameters (B, 2 * latent_size)."""
        return self._through(image.flatten(1), condition)


class MLPDecoder(BiasedNetwork):
    """A fully connected decoder to data of any shape; the mirror image of `MLPEncoder`, with the same arguments.

    Args:
        weight_norm: Of every layer's weights: `none`, `spectral` or `weight`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_size: int,
        width: int = 256,
        depth: int = 2,
        num_classes: int | None = None,
        weight_norm: str = "none",
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        _require_positive(latent_size=latent_size, width=width, depth=depth)
        self.shape, self.channels = tuple(shape), shape[0]
        self.stem = nn.Linear(latent_size, width)
        self._tell(num_classes, width, told)
        self.body = _dense_layers(width, depth)
        self.head = nn.Linear(width, math.prod(shape))
        self.weight_norm = weight_norm
        _under_norm(self, weight_norm)

    def give(self, numbers: int) -> None:
        """Return so many numbers of a pixel, (B, numbers, *shape[1:])."""
        if (outputs := numbers * math.prod(self.shape[1:])) != self.head.out_features:
            self.head = _under_norm(nn.Linear(self.head.in_features, outputs), self.weight_norm)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) to raw values (B, *shape)."""
        return self._through(latent, condition).unflatten(1, (-1, *self.shape[1:]))


class ConvEncoder(_Encoder):
    """A convolutional encoder: halve the image down to 4x4 while the feature maps widen, then one linear layer.

    Args:
        channels: Image channels.
        image_size: Side of the square image, a power of two from 8 to 64.
        latent_size: Units of the latent.
        width: Feature maps at full resolution, a multiple of 8.
        num_classes: Number of labels, or None.
        told: What makes a vector of a further condition, by its name.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        latent_size: int,
        width: int = 32,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        _require_positive(channels=channels, latent_size=latent_size)
        widths = _level_widths(image_size, width)
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self._tell(num_classes, width, told)
        levels = [_conv_level(i, o, nn.Conv2d(i, o, 3, 2, 1)) for i, o in pairwise(widths)]
        self.body = nn.Sequential(nn.SiLU(), *levels, nn.Flatten())
        self.head = nn.Linear(widths[-1] * 16, 2 * latent_size)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) to posterior parameters (B, 2 * latent_size)."""
        return self._through(image, condition)


class ConvDecoder(BiasedNetwork):
    """A convolutional decoder: from a 4x4 map, repeat pixels and convolve until the image size is reached.

    Nearest-neighbour growth followed by a convolution leaves no checkerboard. It has the arguments of `ConvEncoder`.

    Reference: Odena, Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts" (2016).

    Args:
        weight_norm: Of every layer's weights: `none`, `spectral` or `weight`.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        latent_size: int,
        width: int = 32,
        num_classes: int | None = None,
        weight_norm: str = "none",
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        _require_positive(channels=channels, latent_size=latent_size)
        widths = _level_widths(image_size, width)[::-1]
        self.stem = nn.Sequential(nn.Linear(latent_size, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)))
        self._tell(num_classes, widths[0], told)
        levels = [
            _conv_level(i, o, nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3, padding=1)))
            for i, o in pairwise(widths)
        ]
        self.body = nn.Sequential(nn.SiLU(), *levels)
        self.channels, self.head = channels, nn.Conv2d(width, channels, 3, padding=1)
        self.weight_norm = weight_norm
        _under_norm(self, weight_norm)

    def give(self, numbers: int) -> None:
        """Return so many numbers of a pixel, (B, numbers, H, W)."""
        if numbers != self.head.out_channels:
            self.head = _under_norm(nn.Conv2d(self.head.in_channels, numbers, 3, padding=1), self.weight_norm)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) to raw values (B, C, H, W)."""
        return self._through(latent, condition)


def _under_norm(network: nn.Module, norm: str) -> nn.Module:
    """The network with every linear layer and convolution in it under a norm of its weights, see `LayerWeights`."""
    require_one_of("weight_norm", norm, WEIGHT_NORMS)
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            WEIGHT_NORMS[norm](layer)
    return network


def _require_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def _dense_layers(width: int, depth: int) -> nn.Sequential:
    """The activation of the stem, then `depth - 1` further hidden layers."""
    return nn.Sequential(nn.SiLU(), *[m for _ in range(depth - 1) for m in (nn.Linear(width, width), nn.SiLU())])


def _level_widths(image_size: int, width: int) -> list[int]:
    """Feature maps at every resolution from `image_size` down to 4."""
    if image_size not in (8, 16, 32, 64):
        raise ValueError(f"image_size must be a power of two from 8 to 64, got {image_size}")
    if width < 1 or width % CHANNELS_PER_GROUP:
        raise ValueError(f"width must be a positive multiple of {CHANNELS_PER_GROUP}, got {width}")
    halvings = int(math.log2(image_size)) - 2
    return [width * min(2**level, MAX_WIDENING) for level in range(halvings + 1)]


def _conv_level(inputs: int, outputs: int, resample: nn.Module) -> nn.Sequential:
    """A change of resolution and a convolution, each normalised and activated."""
    return nn.Sequential(
        resample,
        nn.GroupNorm(outputs // CHANNELS_PER_GROUP, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(outputs // CHANNELS_PER_GROUP, outputs),
        nn.SiLU(),
    )
