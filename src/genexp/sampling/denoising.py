"""The denoiser as the steps of a sampler see it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.conditioning.estimate import ESTIMATE
from genexp.contracts import Denoiser, Schedule
from genexp.diffusion.variance import LearnedVariance
from genexp.sampling.clipping import Dynamic, clipped
from genexp.sampling.levels import Level
from genexp.sampling.times import as_times

Precision = Literal["32-true", "bf16-mixed"]
"""What networks are evaluated in while images are drawn: their own float32, or bf16 where autocast takes it."""


def require_precision(precision: str) -> None:
    """Raise ValueError unless a precision is one of `Precision`."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be {' or '.join(get_args(Precision))}, got {precision!r}")


class Denoise:
    """The denoiser as a step sees it, in one of `steps`: conditioned, guided and clipped; `bare` is before guidance.

    One that reads its own last answer is told the last one that was asked for here, whatever the step made of it.
    Under `bf16-mixed` networks, of the model and of its guidance, compute in bf16; images and steps stay as they are.
    """

    def __init__(
        self,
        model: Denoiser,
        condition: Condition,
        clip: bool | Dynamic,
        steps: int,
        bare: Denoiser | LearnedVariance | None = None,
        precision: Precision = "32-true",
    ) -> None:
        self.model, self.condition, self.clip, self.steps = model, condition, clip, steps
        self.bare = model if bare is None else bare
        self.precision, self._last = precision, None

    def level(self, time: float) -> Level:
        """The level at a time that need not be in the grid; of a discrete schedule at the nearest integer time."""
        return level_at(time, self.model.schedule)

    def __call__(self, x_t: Tensor, level: Level) -> Tensor:
        """The clean image (B, *image_shape) that `x_t` stands for at `level`."""
        with self._evaluating(x_t):
            x_0 = self.model(x_t, self._times(x_t, level), self._told())
        return self._answered(x_0)

    def moments(self, x_t: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """The clean image, and where the log-variance of a step lies, of a model that learned it.

        Guidance moves the image alone: where there is any, the model is evaluated once more for its own variance.
        """
        told = self.bare.conditioning.known(self._told())
        with self._evaluating(x_t):
            own, share = self.bare.moments(x_t, self._times(x_t, level), told)
        if self.model is not self.bare:
            return self(x_t, level), share
        return self._answered(own), share

    def _evaluating(self, x_t: Tensor) -> AbstractContextManager:
        return nullcontext() if self.precision == "32-true" else torch.autocast(x_t.device.type, torch.bfloat16)

    def _told(self) -> Condition:
        return self.condition if self._last is None else {**self.condition, ESTIMATE: self._last}

    def _answered(self, x_0: Tensor) -> Tensor:
        x_0 = clipped(x_0, self.clip)
        if self.model.conditioning.estimate is not None:
            self._last = self.model.conditioning.estimate.of(x_0)
        return x_0

    def _times(self, x_t: Tensor, level: Level) -> Tensor:
        real = None if self.model.schedule.discrete else torch.promote_types(x_t.dtype, torch.float32)
        return torch.full((x_t.shape[0],), level.time, dtype=real, device=x_t.device)


def level_at(time: float, schedule: Schedule) -> Level:
    """The level of a schedule at a time, its last one at most; of a discrete one at the nearest integer."""
    time = min(time, schedule.last)
    times = [round(time)] if schedule.discrete else [time]
    alpha, sigma = schedule(as_times(times, schedule), torch.float64)
    return Level(times[0], float(alpha), float(sigma))
