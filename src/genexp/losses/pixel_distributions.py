"""Likelihoods of which a decoder gives several numbers a pixel: its spread, a mixture, or a probability a level."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from genexp.logistics import LogisticMixture, log_probability, numbers_of
from genexp.losses.reconstruction import MINIMUM_STD, ReconstructionLikelihood
from genexp.tensors import from_levels, to_levels


class GaussianPerPixel(ReconstructionLikelihood):
    """Every value with a mean and a standard deviation of its own; the deviation stays above half a level of 256.

    Args:
        clip: Whether mean images are clipped to [-1, 1]; not for points.
    """

    parameters_per_value = 2

    def __init__(self, clip: bool = True) -> None:
        super().__init__()
        self.clip = clip

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log density of every value."""
        mean, spread = raw.chunk(2, 1)
        std = MINIMUM_STD + functional.softplus(spread)
        return ((image - mean) / std).square() / 2 + std.log() + math.log(2 * math.pi) / 2

    def mean(self, raw: Tensor) -> Tensor:
        """The means, clipped to the image range if `clip`."""
        mean = raw.chunk(2, 1)[0]
        return mean.clamp(-1, 1) if self.clip else mean


class _OfLevels(ReconstructionLikelihood):
    """What likelihoods of evenly spread levels share.

    Args:
        levels: Values that a pixel may have, 2 to 256; data are taken at the nearest.

    Raises:
        ValueError: `levels` is out of range.
    """

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        if not 2 <= levels <= 256:
            raise ValueError(f"levels must lie in [2, 256], got {levels}")
        self.levels: int = levels

    def observe(self, image: Tensor, uniform: Tensor) -> Tensor:
        """Images at the nearest levels; nothing is random."""
        return from_levels(to_levels(image, self.levels), self.levels).to(image.dtype)


class DiscretisedLogistic(_OfLevels):
    """Every value a logistic distribution with a mean and a scale of its own, cut half way between the levels.

    Reference: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow" (2016), section 5.2,
    with a scale a channel.
    """

    parameters_per_value = 2

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log of the probability of every level."""
        mean, log_scale = raw.chunk(2, 1)
        return -log_probability(to_levels(image, self.levels), mean, log_scale, self.levels)

    def mean(self, raw: Tensor) -> Tensor:
        """The means before they are cut, in [-1, 1]."""
        return raw.chunk(2, 1)[0].clamp(-1, 1)


class DiscretisedLogisticMixture(_OfLevels):
    """Every pixel a mixture of logistics, in which channels follow one another linearly, see `LogisticMixture`.

    Reference: Salimans et al., "PixelCNN++" (2017), section 2.

    Args:
        channels: Of an image.
        mixtures: Components, at least 1.
        levels: Values that a pixel may have, 2 to 256; data are taken at the nearest.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, channels: int, mixtures: int = 5, levels: int = 256) -> None:
        super().__init__(levels)
        self.numbers = numbers_of(channels, mixtures)
        self.channels, self.mixtures = channels, mixtures

    def outputs(self, channels: int) -> int:
        """Those of the mixture; ValueError for images of other channels."""
        if channels != self.channels:
            raise ValueError(f"channels must be {channels} as of the images, got {self.channels}")
        return self.numbers

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log of the probability of every pixel (B, H, W), all channels together."""
        return -self._mixture(raw).log_prob(to_levels(image, self.levels))

    def mean(self, raw: Tensor) -> Tensor:
        """The means before they are cut, in [-1, 1]."""
        return self._mixture(raw.to(torch.promote_types(raw.dtype, torch.float32))).mean()

    def _mixture(self, raw: Tensor) -> LogisticMixture:
        return LogisticMixture.of(raw, self.channels, self.mixtures, self.levels)


class Categorical(_OfLevels):
    """Every value a softmax over its levels, of which none is nearer to another."""

    @property
    def parameters_per_value(self) -> int:
        """A logit a level."""
        return self.levels

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log of the probability of every level."""
        logits = raw.unflatten(1, (self.levels, -1))
        return functional.cross_entropy(logits, to_levels(image, self.levels), reduction="none")

    def mean(self, raw: Tensor) -> Tensor:
        """The means in [-1, 1]."""
        logits = raw.unflatten(1, (self.levels, -1))
        values = from_levels(torch.arange(self.levels, device=raw.device), self.levels).to(raw.dtype)
        return torch.einsum("bl...,l->b...", logits.softmax(1), values)
