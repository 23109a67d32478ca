"""Heun's method: two evaluations a step, second order."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from genexp.contracts import Schedule
from genexp.sampling.base import Denoise, DiffusionSampler, Level, Step
from genexp.sampling.guidance import Guidance, Unguided
from genexp.tensors import IndexedNoise


class Heun(DiffusionSampler[None]):
    """A step of DDIM, then again with the mean of the slopes at its two ends; to clean data one of DDIM alone.

    The path of an image without noise is a curve whose slope the denoiser knows: eps = (x_t - alpha x_0) / sigma for
    x_t / alpha as a function of the noise level sigma / alpha, and eps - x_0 for x_t / (alpha + sigma) as a function of
    sigma / (alpha + sigma). The first ends at infinity where no signal is left, the second at 1.

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), algorithm 1,
    along the noise level. N steps are 2 N - 1 evaluations.

    Args:
        steps: Number of steps, of two evaluations each but for the last; None for every integer time of the schedule.
        along: `flow`, right for every schedule, or `noise`, which wants steps that grow with the noise level.
        spacing: Which times, see `time_grid`; best is one whose last step is short, for it is of first order.
        clip: Clip the denoised image to [-1, 1].
        guidance: What is made of the denoiser before it is called.

    Raises:
        ValueError: `along` or `spacing` is unknown.
    """

    def __init__(
        self,
        steps: int | None = 13,
        along: Literal["flow", "noise"] = "flow",
        spacing: str | Sequence[float] = "linspace",
        clip: bool = True,
        guidance: Guidance = Unguided(),
    ) -> None:
        super().__init__(steps, spacing, clip, guidance)
        if along not in ("flow", "noise"):
            raise ValueError(f"along must be flow or noise, got {along!r}")
        self.along, self.evaluations_per_step = along, 2

    def evaluations(self, schedule: Schedule) -> int:
        """Two a step, and one in the last."""
        return super().evaluations(schedule) - 1

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
        x_0 = denoise(x_t, t)
        epsilon = (x_t - t.alpha * x_0) / t.sigma
        x_s = s.alpha * x_0 + s.sigma * epsilon
        if s.sigma == 0:
            return Step(x_s, x_0)
        next_x_0 = denoise(x_s, s)
        change = (x_s - s.alpha * next_x_0) / s.sigma - epsilon
        if self.along == "noise":
            way = s.sigma - s.alpha * t.sigma / t.alpha
        else:
            change = change - (next_x_0 - x_0)
            way = s.sigma - (s.alpha + s.sigma) * t.sigma / (t.alpha + t.sigma)
        return Step(x_s + way / 2 * change, x_0)
