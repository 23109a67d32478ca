"""The variational bound of a diffusion model: what an image costs, step by step, from pure noise to its pixels."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genexp.contracts import Schedule
from genexp.diffusion.variance import LEARNED, require_variance
from genexp.tensors import expand_to, from_levels, to_levels


class Tables(NamedTuple):
    """Numbers (K,) of the steps from the time before to every time, float64."""

    alpha: Tensor  # signal level
    sigma: Tensor  # noise level
    gain: Tensor  # what the mean of x_s moves by where the clean image does
    posterior: Tensor  # log-variance of x_s given x_t and the image
    small: Tensor  # the model's smallest log-variance
    large: Tensor  # its largest


class VariationalBound:
    """-log p(x) <= KL(q(x_T | x) || p(x_T)) + sum_{t > 1} KL(q(x_s | x_t, x) || p(x_s | x_t)) - log p(x | x_1).

    s is the time before t. p(x_T) is normal with the variance that sampling begins with; the last term is the
    probability of the nearest of `levels` pixel values, whose bins at both ends are open, or the density of real
    values. Where it is not learned its variance is the smallest of the step before: given the image, x_0 has none.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equations 5 and 13; Nichol and Dhariwal,
    "Improved Denoising Diffusion Probabilistic Models" (2021), equation 15 for learned variances.

    Args:
        schedule: Signal and noise levels.
        variance: Of the model's steps.
        levels: Values that a pixel may have, evenly spread over [-1, 1]; None for real values.
        grid: Times of the bound where times are real; integer times are all in it.

    Raises:
        ValueError: `variance` is unknown, or `levels` is below 2.
    """

    def __init__(self, schedule: Schedule, variance: str, levels: int | None = 256, grid: int = 1000) -> None:
        require_variance(variance)
        if levels is not None and levels < 2:
            raise ValueError(f"levels must be at least 2, or null for real values, got {levels}")
        self.variance, self.levels = variance, levels
        if schedule.discrete:
            self.times = torch.arange(1, int(schedule.last) + 1)
        else:
            self.times = schedule.times(torch.linspace(0, 1, grid, dtype=torch.float64))
        self._tables = _tables(schedule, self.times)
        self._copies: dict[tuple[torch.device, torch.dtype], Tables] = {}

    def at(self, index: Tensor, like: Tensor) -> Tables:
        """The numbers of the steps `index` (B,), each (B, 1, ...) in the precision of the images `like` (B, ...)."""
        where = (like.device, like.dtype)
        if where not in self._copies:
            self._copies[where] = Tables(*(table.to(*where) for table in self._tables))
        return Tables(*(expand_to(table[index], like) for table in self._copies[where]))

    def term(self, x: Tensor, index: Tensor, error: Tensor, share: Tensor | None = None) -> Tensor:
        """What the steps `index` cost, in nats of an image.

        Args:
            x: Clean images (B, ...).
            index: Steps (B,) in [0, K), 0 being the one to the data; t - 1 of integer times.
            error: What the model takes for the clean image, minus the clean image.
            share: Where between small and large the log-variance is, for a learned one.

        Returns:
            Nats (B,).
        """
        step, first = self.at(index, x), expand_to(index == 0, x)
        if self.variance == LEARNED:
            log_variance = step.small + share * (step.large - step.small)
        else:
            large = torch.where(first, step.small, step.large)
            log_variance = (step.small if self.variance == "fixed_small" else large).expand_as(x)
        ratio = step.posterior - log_variance
        moved = (step.gain * error).square() * (-log_variance).exp()
        divergence = (ratio.expm1() - ratio + moved) / 2
        surprise = -self._log_decoder(x, x + torch.where(first, error, 0), log_variance)
        return torch.where(first, surprise, divergence).flatten(1).sum(1)

    def prior(self, x: Tensor) -> Tensor:
        """KL(q(x_T | x) || p(x_T)) in nats (B,) of images (B, ...)."""
        last = self.at(torch.full((len(x),), -1, device=x.device), x)
        total = last.alpha.square() + last.sigma.square()
        shrunk = last.sigma.square() / total
        return ((shrunk - 1 - shrunk.log() + (last.alpha * x).square() / total) / 2).flatten(1).sum(1)

    def bits(self, nats: Tensor, x: Tensor) -> Tensor:
        """Nats of images (B, ...) as bits of one of their values."""
        return nats / (x[0].numel() * math.log(2))

    def _log_decoder(self, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """log p(x | x_1) of every pixel, by its level or as a density."""
        spread = (log_variance / 2).exp()
        if self.levels is None:
            return -((x - mean) / spread).square() / 2 - log_variance / 2 - math.log(2 * math.pi) / 2
        half = 1 / (self.levels - 1)
        level = to_levels(x, self.levels)
        away = from_levels(level, self.levels).to(x.dtype) - mean
        above, below = (away + half) / spread, (away - half) / spread
        inside = _log_between(below, above)
        lowest, highest = torch.special.log_ndtr(above), torch.special.log_ndtr(-below)
        return torch.where(level == 0, lowest, torch.where(level == self.levels - 1, highest, inside))


def _log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(P(high) - P(low)) of the normal distribution, to full precision in both tails."""
    flip = low + high > 0
    lower, upper = torch.where(flip, -high, low), torch.where(flip, -low, high)
    top = torch.special.log_ndtr(upper)
    return top + (-torch.expm1(torch.special.log_ndtr(lower) - top)).log()


def _tables(schedule: Schedule, times: Tensor) -> Tables:
    alpha, sigma = schedule(times, torch.float64)
    start = torch.ones(1, dtype=torch.float64)
    alpha_s, sigma_s = torch.cat([start, alpha[:-1]]), torch.cat([0 * start, sigma[:-1]])
    step = sigma.square() - (alpha / alpha_s * sigma_s).square()
    posterior = step * (sigma_s / sigma).square()
    small = torch.cat([posterior[1:2] if len(times) > 1 else step, posterior[1:]]).log()
    return Tables(alpha, sigma, alpha_s * step / sigma.square(), small, small, step.log())
