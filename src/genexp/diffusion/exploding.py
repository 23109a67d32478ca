"""Schedules of real times that add noise to an image and leave it whole: alpha = 1."""

import math

import torch
from torch import Tensor

from genexp.diffusion.continuous import Continuous
from genexp.tensors import in_double


class NoiseLevel(Continuous):
    """Time is the noise level: x_t = x + t eps. Networks are told log(t) / 4.

    Its training times are even in log(t); those of the paper are log-normal (`LogNormal`).

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), table 1.

    Args:
        lowest: The least noise that is trained, above 0.
        highest: The most, where images grow from; many times the spread of the data.

    Raises:
        ValueError: `lowest` lies outside (0, highest).
    """

    def __init__(self, lowest: float = 0.002, highest: float = 80.0) -> None:
        if not 0 < lowest < highest:
            raise ValueError(f"lowest must be positive and below highest, {highest:g}, got {lowest}")
        self.last = highest
        super().__init__(lowest)

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """1 and t."""
        return torch.ones_like(t), t

    def times(self, place: Tensor) -> Tensor:
        """lowest^(1 - place) highest^place."""
        return (self.first * (self.last / self.first) ** place).clamp(self.first, self.last)

    def embedded(self, t: Tensor) -> Tensor:
        """log(t) / 4."""
        return t.log() / 4

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """exp(-log_snr / 2), float64."""
        return (-in_double(log_snr) / 2).exp()


class Exploding(Continuous):
    """Noise that grows geometrically in real time: sigma^2 = lowest^2 ((highest / lowest)^(2 t) - 1).

    This is the variance that the SDE adds from time 0 on. Codes leave the -1 out, so that the data have the noise
    `lowest` in them at time 0; here time 0 is the data.

    Reference: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), equation
    30, the VE SDE; the ends from Karras et al. (2022), table 1, for images in [-1, 1].

    Args:
        lowest: Noise level that the growth begins at, above 0.
        highest: Noise level that it reaches at 1, above `lowest`.
        first: The time of the least noise that is trained, in (0, 1).

    Raises:
        ValueError: an argument lies outside its range.
    """

    def __init__(self, lowest: float = 0.02, highest: float = 100.0, first: float = 1e-5) -> None:
        super().__init__(first)
        if not 0 < lowest < highest:
            raise ValueError(f"lowest must be positive and below highest, {highest:g}, got {lowest}")
        self.lowest, self.growth = lowest, 2 * math.log(highest / lowest)

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """1 and lowest sqrt(exp(t g) - 1), with g = 2 log(highest / lowest)."""
        return torch.ones_like(t), self.lowest * (t * self.growth).expm1().sqrt()

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """log(1 + exp(-log_snr) / lowest^2) / g, float64."""
        return ((-in_double(log_snr)).exp() / self.lowest**2).log1p() / self.growth
