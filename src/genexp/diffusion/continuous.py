"""Noise schedules on real times from 0, the data, to 1."""

import math

import torch
from torch import Tensor

from genexp.tensors import in_double


class Continuous:
    """What schedules of real times share: training times spread evenly over [`first`, 1], told to a network as 1000 t.

    Subclasses give the levels and the inverse of the signal-to-noise ratio. Levels are computed in float64 and rounded
    once, whatever the precision around them.

    Args:
        first: The time of the least noise that is trained, in (0, 1). At 0 an image without noise would count
            infinitely much for some weightings.

    Raises:
        ValueError: `first` lies outside (0, 1).
    """

    discrete = False
    last = 1.0

    def __init__(self, first: float = 1e-5) -> None:
        if not 0 < first < self.last:
            raise ValueError(f"first must lie in (0, {self.last:g}), got {first}")
        self.first = first

    def __call__(self, t: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """alpha and sigma, each (B,), at real times (B,) in [0, 1], on the device of `t`."""
        alpha, sigma = self.levels(in_double(t))
        return alpha.to(t.device, dtype), sigma.to(t.device, dtype)

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma, each (B,), at times (B,); all of it float64."""
        raise TypeError(f"{type(self).__name__} must define levels")

    def times(self, place: Tensor) -> Tensor:
        """Times (B,) in [`first`, 1) from places (B,) in [0, 1)."""
        return self.first + (self.last - self.first) * place

    def embedded(self, t: Tensor) -> Tensor:
        """1000 t: as far apart as the integer times of 1000 steps."""
        return 1000 * t

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha^2 / sigma^2) at times (B,), float64."""
        alpha, sigma = self(t, torch.float64)
        return 2 * (alpha / sigma).log()


class RectifiedFlow(Continuous):
    """The straight line between an image and noise: alpha = 1 - t, sigma = t. Nothing of the image is left at 1.

    With the prediction `Flow` and the weighting `UniformFlow` a network learns the velocity eps - x of that line.

    Reference: Liu et al., "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow" (2023),
    equation 1; the path by conditional optimal transport of Lipman et al., "Flow Matching for Generative Modeling"
    (2023), example II, with time from data to noise.

    Args:
        first: The time of the least noise that is trained, in (0, 1).
    """

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """1 - t and t."""
        return 1 - t, t

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """1 / (1 + exp(log_snr / 2)), float64."""
        return (-in_double(log_snr) / 2).sigmoid()


class LinearContinuous(Continuous):
    """Variances on a straight line in real time: alpha^2 = exp(-t b0 - t^2 (b1 - b0) / 2), alpha^2 + sigma^2 = 1.

    It is what `Linear` with T steps approaches, b0 = T beta_1 and b1 = T beta_T, as T grows.

    Reference: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), equation
    33, the VP SDE.

    Args:
        start: The rate b0 of noise at 0, positive.
        end: The rate b1 at 1, at least `start`.
        first: The time of the least noise that is trained, in (0, 1).

    Raises:
        ValueError: an argument lies outside its range.
    """

    def __init__(self, start: float = 0.1, end: float = 20.0, first: float = 1e-5) -> None:
        super().__init__(first)
        if not 0 < start <= end:
            raise ValueError(f"start must be positive and at most end, {end:g}, got {start}")
        self.start, self.end = start, end

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """exp(-h / 2) and sqrt(1 - exp(-h)), with h = t b0 + t^2 (b1 - b0) / 2."""
        lost = t * (self.start + t * (self.end - self.start) / 2)
        return (-lost / 2).exp(), (-(-lost).expm1()).sqrt()

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """The positive root t of h(t) = log(1 + exp(-log_snr)), float64."""
        lost = torch.nn.functional.softplus(-in_double(log_snr))
        return 2 * lost / (self.start + (self.start**2 + 2 * (self.end - self.start) * lost).sqrt())


class CosineContinuous(Continuous):
    """An arc of a circle in real time, up to a signal-to-noise ratio: alpha = cos(t a), sigma = sin(t a).

    tan(a) = exp(-`last_log_snr` / 2). An infinite one would leave nothing of the image at 1; at -20 its share is
    4.5e-5, and the noise still leads back to it.

    Reference: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022), section 3: log(SNR) = -2 log tan(a t + b),
    with b = 0 here, so that time 0 is the data.

    Args:
        last_log_snr: log(alpha^2 / sigma^2) at 1, below 0.
        first: The time of the least noise that is trained, in (0, 1).

    Raises:
        ValueError: an argument lies outside its range.
    """

    def __init__(self, last_log_snr: float = -20.0, first: float = 1e-5) -> None:
        super().__init__(first)
        if not -700 < last_log_snr < 0:
            raise ValueError(f"last_log_snr must lie in (-700, 0), got {last_log_snr}")
        self.angle = math.atan(math.exp(-last_log_snr / 2))

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """cos(t a) and sin(t a)."""
        return (t * self.angle).cos(), (t * self.angle).sin()

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """atan(exp(-log_snr / 2)) / a, float64."""
        return (-in_double(log_snr) / 2).exp().atan() / self.angle
