"""Heun's method: two evaluations a step, second order; with noise that is added on the way, Karras' stochastic one."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level, noise_in, step_variance
from genexp.sampling.times import Spacing
from genexp.tensors import IndexedNoise


class Heun(DiffusionSampler[None]):
    """A step of DDIM, then again with the mean of the slopes at its two ends; to clean data one of DDIM alone.

    The path of an image without noise is a curve whose slope the denoiser knows: eps = (x_t - alpha x_0) / sigma for
    x_t / alpha as a function of the noise level sigma / alpha, and eps - x_0 for x_t / (alpha + sigma) as a function of
    sigma / (alpha + sigma). The first ends at infinity where no signal is left, the second at 1.

    With `churn` S a step begins by raising the noise level by the factor 1 + min(S / N, sqrt(2) - 1), with fresh noise,
    at levels from `churn_from` to `churn_to`; on integer times to the nearest level there is, and never above the last
    one. The clean image of such a moment is that of the image with the fresh noise.

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), algorithms 1
    and, with S_churn, S_tmin, S_tmax and S_noise, 2; both along the noise level. N steps are 2 N - 1 evaluations.

    Args:
        steps: Number of steps, of two evaluations each but for the last; None for every integer time of the schedule.
        along: `flow`, right for every schedule, or `noise`, which wants steps that grow with the noise level.
        spacing: Which times, see `time_grid`; best is one whose last step is short, for it is of first order.
        churn: Amount of fresh noise over all steps, at least 0; 0 for none.
        churn_from: Lowest noise level sigma / alpha at which there is some, at least 0.
        churn_to: Highest such level, above `churn_from`; None for all.
        churn_noise: Deviation of the fresh noise, positive; a little above 1 makes up for detail that denoisers lose.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `along` or `spacing` is unknown, or a number is outside its range.
    """

    churn = 0.0
    """Told in protocols where there is some, as are its limits."""

    def __init__(
        self,
        steps: int | None = 13,
        along: Literal["flow", "noise"] = "flow",
        spacing: Spacing = "linspace",
        churn: float = 0.0,
        churn_from: float = 0.0,
        churn_to: float | None = None,
        churn_noise: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(steps, spacing, **settings)
        if along not in ("flow", "noise"):
            raise ValueError(f"along must be flow or noise, got {along!r}")
        for name, value in (("churn", churn), ("churn_from", churn_from)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if churn_to is not None and not churn_to > churn_from:
            raise ValueError(f"churn_to must be above churn_from, {churn_from:g}, got {churn_to}")
        if not churn_noise > 0:
            raise ValueError(f"churn_noise must be positive, got {churn_noise}")
        self.along, self.evaluations_per_step = along, 2
        if churn > 0:
            self.churn, self.churn_from, self.churn_to, self.churn_noise = churn, churn_from, churn_to, churn_noise

    @property
    def deterministic(self) -> bool:
        """Without churn."""
        return self.churn == 0

    def evaluations_in(self, steps: int) -> int:
        """Two a step, and one in the last."""
        return super().evaluations_in(steps) - 1

    def require(self, model: object) -> None:
        """Check as every diffusion sampler does, and that the noise level is finite where sampling begins.

        Raises:
            TypeError: `model` is no denoiser.
            ValueError: its schedule does not fit, or the guidance does not.
        """
        super().require(model)
        if self.along == "noise" and (first := self.levels(model.schedule)[0]).alpha == 0:
            raise ValueError(f"along must be flow where no signal is left at the first time, {first.time:g}, got noise")

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: None = None
    ) -> Step[None]:
        """x_s from x_t along the mean of two slopes."""
        x_t, t = self._churned(denoise, x_t, t, noise)
        x_0 = denoise(x_t, t)
        epsilon = noise_in(x_t, x_0, t)
        x_s = s.alpha * x_0 + s.sigma * epsilon
        if s.sigma == 0:
            return Step(x_s, x_0)
        next_x_0 = denoise(x_s, s)
        change = noise_in(x_s, next_x_0, s) - epsilon
        if self.along == "noise":
            way = s.sigma - s.alpha * t.sigma / t.alpha
        else:
            change = change - (next_x_0 - x_0)
            way = s.sigma - (s.alpha + s.sigma) * t.sigma / (t.alpha + t.sigma)
        return Step(x_s + way / 2 * change, x_0)

    def _churned(self, denoise: Denoise, x_t: Tensor, t: Level, noise: IndexedNoise) -> tuple[Tensor, Level]:
        """The image with fresh noise, and the level at which it is then."""
        if self.churn == 0 or t.alpha == 0:
            return x_t, t
        if not self.churn_from <= t.sigma / t.alpha <= (math.inf if self.churn_to is None else self.churn_to):
            return x_t, t
        factor = 1 + min(self.churn / denoise.steps, math.sqrt(2) - 1)
        wanted = torch.tensor([t.log_snr - 2 * math.log(factor)], dtype=torch.float64)
        raised = denoise.level(float(denoise.model.schedule.at_snr(wanted)))
        if raised.time <= t.time or raised.alpha == 0:
            return x_t, t
        fresh = self.churn_noise * step_variance(raised, t) ** 0.5
        return raised.alpha / t.alpha * x_t + fresh * noise.normal(*x_t.shape[1:]), raised
