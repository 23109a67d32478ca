"""The generator and discriminator of R3GAN, for square images of 8 to 128 pixels: residual blocks without any norm.

Reference: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024), section 4; blocks after Xie
et al., "Aggregated Residual Transformations for Deep Neural Networks" (2017), begun as in Zhang, Dauphin and Ma, "Fixup
Initialization: Residual Learning Without Normalization" (2019).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.batch_sight import Diversity
from genexp.networks.classes import ReadsBeside, ToldBy
from genexp.networks.discriminator import Discriminator
from genexp.networks.resampling import Filter, widths_by_size

SLOPE = 0.2
GAIN = (2 / (1 + SLOPE**2)) ** 0.5
"""Deviation of weights, times the root of the fan in, that keeps the mean square of activations."""


class R3GANGenerator(ReadsBeside):
    """Latents to a linear combination of learned 4 x 4 maps, then residual blocks at every size up to the image's.

    Args:
        image_size: Side of the square images in pixels, a power of two from 8 to 128.
        channels: Channels of the images.
        latent_size: Size of the latent; an embedding of a class, of the same size, is put beside it.
        width: Channels at the full size; twice as many at every half, at most `widest`.
        widest: Largest number of channels.
        blocks: Residual blocks at every size.
        expansion: Channels within a block for one outside.
        group_width: Channels of a group of the 3x3 convolutions.
        num_classes: Number of classes; None for an unconditional generator.
        told: What makes a vector of a further condition, beside the latent, by its name.

    Raises:
        ValueError: an argument is out of range, or groups do not divide the channels within blocks.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        latent_size: int = 64,
        width: int = 64,
        widest: int = 768,
        blocks: int = 2,
        expansion: int = 2,
        group_width: int = 16,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        widths = list(widths_by_size(image_size, width, widest).values())
        self.latent_shape, self.num_classes = (latent_size,), num_classes
        beside = self._tell(latent_size, told, lambda table: _begun(table, 1.0, num_classes))
        self.basis = nn.Parameter(torch.empty(widths[0], 4, 4))
        nn.init.normal_(self.basis)
        self.weights = _begun(nn.Linear(latent_size + beside, widths[0], bias=False))
        stages = _stages(widths, blocks, expansion, group_width)
        for (before, after), stage in zip(pairwise(widths), stages[1:], strict=True):
            stage.insert(0, _Resized(before, after, double=True))
        self.body = nn.Sequential(*stages)
        self.output = _convolution(widths[-1], channels)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) and a condition to images (B, C, H, W), taught but not bound to lie in [-1, 1]."""
        return self.output(self.body(self.weights(self.beside(latent, condition))[:, :, None, None] * self.basis))


class R3GANDiscriminator(Discriminator):
    """Images to scores: the generator in reverse; at 4 x 4 pixels a learned map for every channel gives the features.

    Conditions are projected onto the features. The paper's further linear map between them adds no functions to that.
    Its arguments are those of the generator and of every `Discriminator`.


    Raises:
        ValueError: an argument is out of range, or groups do not divide the channels within blocks.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int = 64,
        widest: int = 768,
        blocks: int = 2,
        expansion: int = 2,
        group_width: int = 16,
        num_classes: int | None = None,
        diversity: Diversity | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(num_classes, diversity=diversity, told=told)
        widths = list(widths_by_size(image_size, width, widest).values())[::-1]
        stages = _stages(widths, blocks, expansion, group_width)
        for (before, after), stage in zip(pairwise(widths), stages[:-1], strict=True):
            stage.append(_Resized(before, after, double=False))
        self.body = nn.Sequential(_convolution(channels, widths[0]), *stages)
        self.basis = _begun(nn.Conv2d(widths[-1], widths[-1], 4, groups=widths[-1], bias=False))
        self._judge_by(widths[-1], _begun)

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) to features (B, F)."""
        return self.basis(self.body(image)).flatten(1)


class InvertedBottleneck(nn.Module):
    """x + outer(act(grouped(act(inner(x))))), where act(h) is a leaky ReLU of h + bias; the identity at first.

    Weights of the two inner convolutions begin with the deviation that keeps the mean square, times L^(-1/4) for L
    blocks in the network; those of the outer one at 0.

    Args:
        width: Channels.
        expansion: Channels within for one outside.
        group_width: Channels of a group of the 3x3 convolution.
        total: Residual blocks of the whole network, L.

    Raises:
        ValueError: `group_width` does not divide `expansion` * `width`.
    """

    def __init__(self, width: int, expansion: int, group_width: int, total: int) -> None:
        super().__init__()
        within, gain = expansion * width, GAIN * total**-0.25
        if group_width < 1 or within % group_width:
            raise ValueError(
                f"group_width must divide the {within} channels within blocks of {width}, got {group_width}"
            )
        self.inner = _convolution(width, within, gain)
        self.grouped = _begun(nn.Conv2d(within, within, 3, padding=1, groups=within // group_width, bias=False), gain)
        self.outer = _convolution(within, width, 0.0)
        self.biases = nn.Parameter(torch.zeros(2, within, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, width, H, W) to as many."""
        hidden = F.leaky_relu(self.inner(x) + self.biases[0], SLOPE)
        hidden = F.leaky_relu(self.grouped(hidden) + self.biases[1], SLOPE)
        return x + self.outer(hidden)


class _Resized(nn.Module):
    """Twice or half the size by bilinear interpolation, and another number of channels where that changes."""

    def __init__(self, inputs: int, outputs: int, double: bool) -> None:
        super().__init__()
        self.filter, self.double = Filter(), double
        self.change = nn.Identity() if inputs == outputs else _convolution(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, inputs, H, W) to (B, outputs, 2 H, 2 W) or (B, outputs, H / 2, W / 2)."""
        return self.filter.double(self.change(x)) if self.double else self.change(self.filter.halve(x))


def _stages(widths: Sequence[int], blocks: int, expansion: int, group_width: int) -> list[nn.Sequential]:
    """The blocks at every size, whose channels are `widths`."""
    for name, value in (("blocks", blocks), ("expansion", expansion)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    total = blocks * len(widths)
    return [
        nn.Sequential(*(InvertedBottleneck(width, expansion, group_width, total) for _ in range(blocks)))
        for width in widths
    ]


def _convolution(inputs: int, outputs: int, gain: float = 1.0) -> nn.Module:
    return _begun(nn.Conv2d(inputs, outputs, 1, bias=False), gain)


def _begun(layer: nn.Module, gain: float = 1.0, fan_in: int | None = None) -> nn.Module:
    """Weights from N(0, gain^2 / fan in), biases zero."""
    nn.init.normal_(layer.weight, 0.0, gain / (fan_in or layer.weight[0].numel()) ** 0.5)
    if not isinstance(layer, nn.Embedding) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
