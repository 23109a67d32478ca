"""Noise schedules on integer times: what share of a noisy image is signal and what share is noise."""

import math

import numpy as np
import torch
from torch import Tensor

from genexp.contracts import Schedule


class VariancePreserving:
    """A schedule with alpha^2 + sigma^2 = 1 on integer times 0 .. T, given by the variances beta_1 .. beta_T of steps.

    x_t = alpha_t x + sigma_t eps with alpha_t^2 = prod_{i <= t} (1 - beta_i). Time 0 is the data: alpha = 1, sigma = 0.
    Time t carries the index of the papers, which count from 1. The products are taken, and the tables kept, in float64:
    in float32 the posterior variances of the first steps err by 1e-4.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equation 4.

    Args:
        betas: Variances (T,), each in (0, 1); the last may be 1, after which nothing of the image is left.

    Raises:
        ValueError: there are no variances, or one lies outside (0, 1).
    """

    discrete = True
    first = 1

    def __init__(self, betas: Tensor) -> None:
        if len(betas) == 0 or not bool((betas > 0).all() and (betas[:-1] < 1).all() and betas[-1] <= 1):
            low, high = (float(betas.min()), float(betas.max())) if len(betas) else (math.nan, math.nan)
            raise ValueError(f"betas must lie in (0, 1), got {len(betas)} values from {low:.4g} to {high:.4g}")
        self.betas = betas.double()
        kept = torch.cat([torch.ones(1, dtype=torch.float64), (1 - self.betas).cumprod(0)])
        self._table = torch.stack([kept.sqrt(), (1 - kept).sqrt()])
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @property
    def last(self) -> int:
        """The time T of the most noise."""
        return len(self.betas)

    def __call__(self, t: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Signal and noise levels at integer times.

        Args:
            t: Integer times (B,) in [0, T].
            dtype: Precision of the result; rounded once, from float64.

        Returns:
            alpha and sigma, each (B,), on the device of `t`.

        Raises:
            TypeError: the times are not integers.
        """
        if t.is_floating_point():
            raise TypeError(f"t must hold integer times, got {t.dtype}")
        where = (t.device, dtype)
        if where not in self._copies:
            self._copies[where] = self._table.to(t.device, dtype)
        alpha, sigma = self._copies[where][:, t]
        return alpha, sigma

    def times(self, place: Tensor) -> Tensor:
        """Integer times 1 .. T, each as likely as the other, from places (B,) uniform in [0, 1)."""
        return (place * self.last).long().clamp(max=self.last - 1) + 1

    def embedded(self, t: Tensor) -> Tensor:
        """t - 1: implementations of DDPM count the times of noisy images from 0."""
        return t - 1

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha^2 / sigma^2) at integer times (B,), float64."""
        alpha, sigma = self(t, torch.float64)
        return 2 * (alpha / sigma).log()

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """Real times (B,) in [1, T], float64: straight lines between the logarithms at integer times."""
        known = -2 * (self._table[0, 1:] / self._table[1, 1:]).log()
        places = np.interp(-log_snr.double().cpu().numpy(), known.numpy(), np.arange(1, self.last + 1))
        return torch.from_numpy(np.asarray(places)).to(log_snr.device)


class Linear(VariancePreserving):
    """Variances on a straight line, beta_1 = `start` to beta_T = `end`, stated for 1000 steps.

    Another number of steps multiplies both by 1000 / `steps`, which keeps the noise of the last time about the same.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020); the factor from Nichol and Dhariwal,
    "Improved Denoising Diffusion Probabilistic Models" (2021).

    Args:
        steps: Number of steps T.
        start: First variance of 1000.
        end: Last variance of 1000.

    Raises:
        ValueError: a variance reaches 1, as it does by default for `steps` up to 20.
    """

    def __init__(self, steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> None:
        factor = _factor(steps, start, end)
        super().__init__(torch.linspace(start * factor, end * factor, steps, dtype=torch.float64))


class ScaledLinear(VariancePreserving):
    """Standard deviations of steps on a straight line: sqrt(beta_t) goes from sqrt(`start`) to sqrt(`end`).

    As in `Linear` both variances are stated for 1000 steps, and multiplied by 1000 / `steps` for another number.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), by its code.

    Args:
        steps: Number of steps T.
        start: First variance of 1000, not negative.
        end: Last variance of 1000, not negative.

    Raises:
        ValueError: a variance reaches 1, as it does by default for `steps` up to 12, or is none.
    """

    def __init__(self, steps: int = 1000, start: float = 8.5e-4, end: float = 0.012) -> None:
        if min(start, end) < 0:
            raise ValueError(f"start and end must be variances, at least 0, got {start:g} and {end:g}")
        factor = _factor(steps, start, end)
        deviations = torch.linspace((start * factor) ** 0.5, (end * factor) ** 0.5, steps, dtype=torch.float64)
        super().__init__(deviations.square())


class Cosine(VariancePreserving):
    """alpha_t falls on a quarter of a cosine.

    alpha_t^2 = f(t) / f(0) with f(t) = cos^2((t / T + offset) / (1 + offset) pi / 2).

    Variances are capped at `largest_beta`, because alpha_T would be 0.

    Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), equation 17.

    Args:
        steps: Number of steps T.
        offset: Keeps the first variances from vanishing.
        largest_beta: Largest variance of a step, below 1.

    Raises:
        ValueError: `largest_beta` lies outside (0, 1).
    """

    def __init__(self, steps: int = 1000, offset: float = 0.008, largest_beta: float = 0.999) -> None:
        require_steps(steps)
        _require_largest(largest_beta)
        times = torch.arange(steps + 1, dtype=torch.float64) / steps
        signal = ((times + offset) / (1 + offset) * math.pi / 2).cos().square()
        super().__init__((1 - signal[1:] / signal[:-1]).clamp(max=largest_beta))


class Sigmoid(VariancePreserving):
    """alpha_t^2 falls on a part of a logistic curve, from 1 at 0 to 0 at T.

    alpha_t^2 = (S(end) - S(start + (end - start) t / T)) / (S(end) - S(start)), S(z) = 1 / (1 + exp(-z / temperature)).

    Variances are capped at `largest_beta`, because alpha_T would be 0.

    Reference: Jabri, Fleet and Chen, "Scalable Adaptive Computation for Iterative Generation" (2023); Chen, "On the
    Importance of Noise Scheduling for Diffusion Models" (2023), algorithm 1.

    Args:
        steps: Number of steps T.
        start: Where on the curve time 0 is.
        end: Where on it T is, above `start`.
        temperature: Above 0; the higher, the straighter the curve.
        largest_beta: Largest variance of a step, below 1.

    Raises:
        ValueError: an argument lies outside its range.
    """

    def __init__(
        self,
        steps: int = 1000,
        start: float = -3.0,
        end: float = 3.0,
        temperature: float = 1.0,
        largest_beta: float = 0.999,
    ) -> None:
        require_steps(steps)
        if not start < end:
            raise ValueError(f"start must lie below end, {end:g}, got {start:g}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        _require_largest(largest_beta)
        places = torch.linspace(start, end, steps + 1, dtype=torch.float64)
        left = (places[-1] / temperature).sigmoid() - (places / temperature).sigmoid()
        super().__init__((1 - left[1:] / left[:-1]).clamp(max=largest_beta))


def same_levels(schedule: Schedule, other: Schedule) -> bool:
    """Whether two schedules have the same levels of signal and noise at the same times."""
    if (schedule.discrete, schedule.last) != (other.discrete, other.last):
        return False
    t = schedule.times(torch.linspace(0, 0.999, 11, dtype=torch.float64))
    pairs = zip(schedule(t, torch.float64), other(t, torch.float64), strict=True)
    return all(torch.allclose(ours, theirs) for ours, theirs in pairs)


def require_steps(steps: int) -> None:
    """Refuse a schedule without steps.

    Raises:
        ValueError: `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")


def _require_largest(beta: float) -> None:
    if not 0 < beta < 1:
        raise ValueError(f"largest_beta must lie in (0, 1), got {beta}")


def _factor(steps: int, start: float, end: float) -> float:
    """What variances of 1000 steps are multiplied by for `steps`, where they stay below 1."""
    require_steps(steps)
    if max(start, end) * 1000 / steps >= 1:
        raise ValueError(
            f"steps must be more than {1000 * max(start, end):g} for variances {start:g} to {end:g}, got {steps}"
        )
    return 1000 / steps
