"""Integrals of a curve from a few of its values: the one place where samplers with a memory get their weights."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level, noise_in

SHORT = 1.0
"""Steps shorter than this in log(alpha / sigma) have their moments from a series, where the recursion cancels."""

FARTHEST = 50.0
"""Largest change of an image in one step by the noise alone: a mean noise that errs by e makes images err by 50 e.

In a first step of 25 it is 0.5 on the linear schedule, 1,300 on the cosine one, and infinite from pure noise.
"""


class Known(NamedTuple):
    """What the denoiser said at a level: the clean image and the noise in what it saw."""

    level: Level
    x_0: Tensor
    epsilon: Tensor


class Memory(NamedTuple):
    """An image from which steps went, and what had been seen there, the newest last."""

    x: Tensor
    known: tuple[Known, ...]


def look(denoise: Denoise, x_t: Tensor, t: Level) -> Known:
    """Evaluate the denoiser."""
    x_0 = denoise(x_t, t)
    return Known(t, x_0, noise_in(x_t, x_0, t))


def weights(places: Sequence[float], moments: Sequence[float]) -> list[float]:
    """w with sum_j w_j p(places_j) equal to the integral of every polynomial p of lower degree than there are places.

    Args:
        places: Where the curve is known, each another.
        moments: The integrals of 1, u, u^2, ..., as many as places.
    """
    return list(_weights(tuple(places), tuple(moments)))


@lru_cache(maxsize=1024)
def _weights(places: tuple[float, ...], moments: tuple[float, ...]) -> list[float]:
    """Computed once for every drawing's grid, so that a traced drawing has them as numbers."""
    powers = torch.tensor(places, dtype=torch.float64) ** torch.arange(len(places), dtype=torch.float64)[:, None]
    return torch.linalg.solve(powers, torch.tensor(moments, dtype=torch.float64)).tolist()


def even_moments(count: int) -> list[float]:
    """Integrals over [0, 1] of u^k for k below `count`: with weights for them, the methods of Adams and Bashforth."""
    return [1 / (k + 1) for k in range(count)]


def exponential_moments(length: float, count: int, even: bool = True) -> list[float]:
    """Integrals over [0, 1] of h exp(h (u - 1)) u^k for k below `count`; of two the second as if the weight were even.

    Half of the first instead of the second moment is what DPM-Solver-2, DPM-Solver++(2M) and UniPC with B_2 have at two
    values: it errs by no more than the line through these does.

    Args:
        length: h, of either sign; the first moment is 1 - exp(-h).
        count: How many.
        even: False for the second moment itself where there are two.
    """
    whole = -math.expm1(-length)
    if count == 1 or (count == 2 and even):
        return [whole, whole / 2][:count]
    if abs(length) < SHORT:
        return [length * math.fsum(_term(length, n, k) for n in range(20)) for k in range(count)]
    found = [whole]
    for k in range(1, count):
        found.append(1 - k * found[-1] / length)
    return found


def _term(length: float, n: int, k: int) -> float:
    return (-length) ** n * math.factorial(k) / math.factorial(n + k + 1)


def require_near(levels: Sequence[Level], remedy: str | None = None) -> None:
    """Refuse a grid with a step that no mean of noises can make: alpha_s sigma_t / alpha_t - sigma_s above `FARTHEST`.

    Args:
        levels: The grid.
        remedy: What has none, or what else to type.

    Raises:
        ValueError: there is such a step.
    """
    for t, s in pairwise(levels):
        change = s.alpha * t.sigma / t.alpha - s.sigma if t.alpha > 0 else math.inf
        if change > FARTHEST:
            raise ValueError(
                f"spacing must have no step that moves an image by more than {FARTHEST:g} times the noise found in it, "
                f"got {change:.2g} times from time {t.time:g} to {s.time:g}" + (f"; {remedy}" if remedy else "")
            )


def integrated(
    x_t: Tensor,
    t: Level,
    s: Level,
    known: Sequence[Known],
    along: Literal["image", "noise"] = "image",
    even: bool = True,
) -> Tensor:
    """x_s of the flow from x_t, of which the linear part is exact and the rest a polynomial in l = log(alpha / sigma).

    x_s = (sigma_s / sigma_t) x_t + sigma_s int e^l x_0 dl with the polynomial through known clean images, or
    x_s = (alpha_s / alpha_t) x_t - alpha_s int e^-l eps dl with that through known noises. The two are each other with
    alpha and sigma exchanged. Where l is infinite, at clean data and where no signal is left, the newest value is held
    constant, which is the step of DDIM.

    Reference: Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps"
    (2022), proposition 3.1; for images Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
    Probabilistic Models" (2022), proposition 4.1.

    Args:
        x_t: Images (B, *image_shape) at `t`.
        t: Where the step begins.
        s: Where it ends.
        known: What is known, in any order with the newest last; what was seen where l is infinite is left out.
        along: Which of the two is taken for a polynomial.
        even: See `exponential_moments`.
    """
    length = (s.log_snr - t.log_snr) / 2
    if not math.isfinite(length):
        return s.alpha * known[-1].x_0 + s.sigma * known[-1].epsilon
    known = [each for each in known if math.isfinite(each.level.log_snr)]
    places = [(each.level.log_snr - t.log_snr) / 2 / length for each in known]
    if along == "image":
        kept, gain, values = s.sigma / t.sigma, s.alpha, [each.x_0 for each in known]
    else:
        kept, gain, values = s.alpha / t.alpha, s.sigma, [each.epsilon for each in known]
    moments = exponential_moments(length if along == "image" else -length, len(known), even)
    parts = zip(weights(places, moments), values, strict=True)
    return kept * x_t + sum(gain * weight * value for weight, value in parts)
