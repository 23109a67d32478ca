"""DPM-Solver++: few steps, each with the memory of the one before."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from genexp.sampling.base import Denoise, DiffusionSampler, Level, Step
from genexp.sampling.guidance import Guidance, Unguided
from genexp.tensors import IndexedNoise


class Memory(NamedTuple):
    """Where the step before began, and the clean image there."""

    level: Level
    x_0: Tensor


class DPMSolver2M(DiffusionSampler[Memory]):
    """The step of DDIM with the clean image extrapolated along a line through the last two; one evaluation a step.

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - alpha_t sigma_s / sigma_t) D with D = x_0 + (h / (2 k)) (x_0 - x_0'), in
    which x_0' belongs to the step before; k and h are the lengths of that step and of this one in log(alpha / sigma).
    The first step and the one to clean data take x_0 alone.

    Reference: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models" (2022),
    algorithm 2.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        spacing: Which times, see `time_grid`.
        clip: Clip the denoised image to [-1, 1] before it is extrapolated.
        guidance: What is made of the denoiser before it is called.

    Raises:
        ValueError: `spacing` is unknown.
    """

    def __init__(
        self,
        steps: int | None = 10,
        spacing: str | Sequence[float] = "trailing",
        clip: bool = True,
        guidance: Guidance = Unguided(),
    ) -> None:
        super().__init__(steps, spacing, clip, guidance)

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: Memory | None = None
    ) -> Step[Memory]:
        """x_s from x_t and from what the step before saw."""
        x_0 = denoise(x_t, t)
        ahead = x_0
        if state is not None and math.isfinite(length := s.log_snr - t.log_snr):
            ahead = x_0 + length / (t.log_snr - state.level.log_snr) / 2 * (x_0 - state.x_0)
        x_s = s.sigma / t.sigma * x_t + (s.alpha - t.alpha * s.sigma / t.sigma) * ahead
        return Step(x_s, x_0, Memory(t, x_0))
