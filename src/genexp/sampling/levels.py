"""Levels of signal and noise, and the noise between two of them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genexp.contracts import Schedule
from genexp.contracts.codecs import OfCodes
from genexp.tensors import expand_to

MOST_MAGNIFIED = 1000
"""Largest error of codes for one of 1 in the network's output where a grid may begin; a linear schedule ends at 157."""


class Level(NamedTuple):
    """One point of time with its signal and noise levels, from float64."""

    time: float
    alpha: float
    sigma: float

    @property
    def log_snr(self) -> float:
        """log(alpha^2 / sigma^2); infinite at clean data, and minus that where no signal is left."""
        if self.alpha == 0 or self.sigma == 0:
            return -math.inf if self.alpha == 0 else math.inf
        return 2 * math.log(self.alpha / self.sigma)


def require_told_apart(first: Level, model: OfCodes) -> None:
    """Check that where a grid begins, codes follow from what the network says; no clipping brings them back.

    Raises:
        ValueError: an error of the network would be more than `MOST_MAGNIFIED` times as large in the codes.
    """
    if (error := model.magnified(first.alpha, first.sigma)) > MOST_MAGNIFIED:
        raise ValueError(
            f"an error of the network is {error:,.0f} times as large in codes at the first time {first.time:g}, and "
            "codes are not clipped: train with model/schedule=scaled_linear or model/prediction=velocity, or begin "
            "later, with sampler.spacing=leading"
        )


def noise_in(x_t: Tensor, x_0: Tensor, t: Level) -> Tensor:
    """The noise eps of x_t = alpha x_0 + sigma eps."""
    return (x_t - t.alpha * x_0) / t.sigma


def step_variance(t: Level, s: Level) -> float:
    """Variance of x_t given x_s for s < t: sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2; beta_t between neighbours."""
    return t.sigma**2 - (t.alpha / s.alpha) ** 2 * s.sigma**2


def posterior_variance(t: Level, s: Level) -> float:
    """Variance of x_s given x_t and the clean image, for s < t: step variance times sigma_s^2 / sigma_t^2."""
    return step_variance(t, s) * s.sigma**2 / t.sigma**2


def reach_of_slope(schedule: Schedule, t: Tensor, x_0: Tensor) -> Tensor:
    """sigma^2 / alpha at times (B,): how far a slope of a log-density at x_t moves the clean images; 0 at alpha = 0."""
    alpha, sigma = (expand_to(level, x_0) for level in schedule(t, x_0.dtype))
    return torch.where(alpha > 0, sigma.square() / alpha, 0)
