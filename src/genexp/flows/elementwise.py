"""Rising functions of one value, whose parameters a network gives: what couplings and autoregressive layers apply."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Elementwise(Protocol):
    """A rising function of one value with `count` parameters; all zero, it is the identity.

    Values are (B, ...), parameters (B, count, ...); both ways return values and the logarithm of their slope there.
    """

    @property
    def count(self) -> int: ...

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Additive:
    """z = x + shift: keeps volumes.

    Reference: Dinh, Krueger and Bengio, "NICE: Non-linear Independent Components Estimation" (2015).
    """

    count: int = 1

    def __post_init__(self) -> None:
        if self.count != 1:
            raise ValueError(f"count must be 1, the shift, got {self.count}")

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values moved."""
        return x + parameters[:, 0], torch.zeros_like(x)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values moved back."""
        return z - parameters[:, 0], torch.zeros_like(z)


@dataclass(frozen=True)
class Affine:
    """z = x exp(s) + shift with s = limit tanh(raw / limit), so that no slope leaves [exp(-limit), exp(limit)].

    Reference: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017), equation 7; the bound as its
    code has it.

    Args:
        limit: Largest |s| in nats, above 0.

    Raises:
        ValueError: `limit` is not above 0.
    """

    limit: float = 2.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"limit must be above 0, got {self.limit}")

    @property
    def count(self) -> int:
        """Raw scale and shift."""
        return 2

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values scaled, then moved."""
        scale = self.limit * torch.tanh(parameters[:, 0] / self.limit)
        return x * scale.exp() + parameters[:, 1], scale

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values moved back, then scaled back."""
        scale = self.limit * torch.tanh(parameters[:, 0] / self.limit)
        return (z - parameters[:, 1]) * torch.exp(-scale), -scale


@dataclass(frozen=True)
class RationalQuadratic:
    """A rising spline of `bins` ratios of quadratics on [-bound, bound], and the identity outside.

    Parameters are the logits of the widths and of the heights of the bins, and the slopes at the knots between them;
    at both ends the slope is 1.

    Reference: Durkan et al., "Neural Spline Flows" (2019), section 3.1, equations 4 to 8; Gregory and Delbourgo,
    "Piecewise Rational Quadratic Interpolation to Monotonic Data" (1982).

    Args:
        bins: At least 2.
        bound: Where the spline ends, above 0.
        least: Smallest share of a bin in width and in height, and smallest slope, in (0, 1 / bins).

    Raises:
        ValueError: an argument is out of range.
    """

    bins: int = 8
    bound: float = 3.0
    least: float = 1e-3

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"bins must be at least 2, got {self.bins}")
        if not self.bound > 0:
            raise ValueError(f"bound must be above 0, got {self.bound}")
        if not 0 < self.least < 1 / self.bins:
            raise ValueError(f"least must lie between 0 and 1 / bins = {1 / self.bins:.3g}, got {self.least}")

    @property
    def count(self) -> int:
        """Widths, heights, and slopes between."""
        return 3 * self.bins - 1

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values through the spline."""
        widths, heights, slopes = self._knots(parameters)
        inside = x.clamp(-self.bound, self.bound)
        left, width, bottom, height, first, last = _bin_of(inside, widths, widths, heights, slopes)
        mean, place = height / width, (inside - left) / width
        across = place * (1 - place)
        below = mean + (first + last - 2 * mean) * across
        z = bottom + height * (mean * place.square() + first * across) / below
        log_slope = _log_slope(mean, place, first, last, below)
        outside = x.abs() > self.bound
        return torch.where(outside, x, z), torch.where(outside, 0.0, log_slope)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values back: the root of a quadratic equation that lies in their bin."""
        widths, heights, slopes = self._knots(parameters)
        inside = z.clamp(-self.bound, self.bound)
        left, width, bottom, height, first, last = _bin_of(inside, heights, widths, heights, slopes)
        mean, up = height / width, inside - bottom
        bent = first + last - 2 * mean
        a, b, c = height * (mean - first) + up * bent, height * first - up * bent, -mean * up
        root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        place = (2 * c / (-b - root)).clamp(0, 1)
        below = mean + bent * place * (1 - place)
        log_slope = -_log_slope(mean, place, first, last, below)
        outside = z.abs() > self.bound
        return torch.where(outside, z, left + place * width), torch.where(outside, 0.0, log_slope)

    def _knots(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places, heights and slopes (B, ..., bins + 1) of the knots."""
        wide, high, steep = parameters.movedim(1, -1).split((self.bins, self.bins, self.bins - 1), dim=-1)
        places, heights = (self._cumulated(each) for each in (wide, high))
        flat = math.log(math.expm1(1 - self.least))
        between = self.least + F.softplus(steep + flat)
        return places, heights, F.pad(between, (1, 1), value=1.0)

    def _cumulated(self, logits: Tensor) -> Tensor:
        share = self.least + (1 - self.least * self.bins) * logits.softmax(-1)
        knots = F.pad(share.cumsum(-1), (1, 0)) * (2 * self.bound) - self.bound
        return torch.cat([knots[..., :-1], torch.full_like(knots[..., :1], self.bound)], -1)


def _bin_of(value: Tensor, along: Tensor, places: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, ...]:
    """Left end, width, bottom, height, and slopes at both ends of the bin in which values lie by the knots `along`."""
    index = (value[..., None] >= along[..., 1:-1]).sum(-1, keepdim=True)

    def at(knots: Tensor, offset: int) -> Tensor:
        return knots.gather(-1, index + offset)[..., 0]

    left, bottom = at(places, 0), at(heights, 0)
    return left, at(places, 1) - left, bottom, at(heights, 1) - bottom, at(slopes, 0), at(slopes, 1)


def _log_slope(mean: Tensor, place: Tensor, first: Tensor, last: Tensor, below: Tensor) -> Tensor:
    """Equation 5 of Durkan et al., its logarithm."""
    rest = 1 - place
    above = last * place.square() + 2 * mean * place * rest + first * rest.square()
    return 2 * mean.log() + above.log() - 2 * below.log()
