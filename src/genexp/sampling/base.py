"""What all diffusion samplers share: the time grid, clipping, guidance, the loop and its snapshots."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts import Denoiser, Schedule
from genexp.contracts.codecs import OfCodes, codec_of
from genexp.contracts.preparing import prepared
from genexp.sampling.clipping import Clip, read_clip
from genexp.sampling.denoising import Denoise, Precision, require_precision
from genexp.sampling.guidance import Guidance, Unguided
from genexp.sampling.levels import Level, require_told_apart
from genexp.sampling.times import Spacing, as_times, require_spacing, time_grid
from genexp.sampling.walking import Snapshot, Walking
from genexp.tensors import IndexedNoise

MOST_SIGNAL = 0.1
"""Largest share of signal, alpha / sqrt(alpha^2 + sigma^2), where a grid may begin below the schedule's last time.

Sampling begins with noise alone. Where a share a of the image should be in it, the mean of normal data N(m, s^2) comes
out at about m (1 - a s).
"""

State = TypeVar("State")


class Step(NamedTuple, Generic[State]):
    """What a step from t to s gives: the images at s, the clean ones that those at t stand for, and what it remembers.

    The next step is given `state` back; a sampler that looks at nothing but the present image leaves it None.
    """

    x_s: Tensor
    x_0: Tensor
    state: State | None = None


class DiffusionSampler(Walking, Generic[State]):
    """Draws from a `Denoiser` step by step; subclasses implement `step`, and say how often that evaluates the denoiser.

    Args:
        steps: Number of steps; None for every integer time of the schedule.
        spacing: Which times: `leading`, `trailing`, `linspace`, `quadratic`, `log_snr`, or a list of times.
        clip: Clip the denoiser's image to [-1, 1] before it is used, or `{percentile: p}`, see `Dynamic`; not for
            points or codes.
        guidance: What is made of the denoiser before it is called.
        precision: What the networks are evaluated in, see `Denoise`.

    Raises:
        ValueError: `spacing` or `precision` has an unknown name, or `clip` is none.
    """

    precision: Precision = "32-true"
    """Told in protocols where it is another, so that those from before it could be are still those of today."""

    evaluations_per_step = 1
    remembers = False
    """Whether a step may look at what steps before it saw, as long as nothing else changes the images."""
    invertible = True
    """Whether its steps can be taken from data to noise, where none adds fresh noise."""
    marks: Callable[[Tensor], Tensor] | None = None  # puts a watermark into the starting noise (B, *image_shape)

    @property
    def deterministic(self) -> bool:
        """Whether images are a function of the starting noise alone."""
        return True

    def __init__(
        self,
        steps: int | None = 50,
        spacing: Spacing = "trailing",
        clip: Clip = True,
        guidance: Guidance = Unguided(),
        precision: Precision = "32-true",
    ) -> None:
        require_spacing(spacing)
        require_precision(precision)
        if precision != self.precision:
            self.precision = precision
        self.steps, self.spacing, self.clip, self.guidance = steps, spacing, read_clip(clip), guidance
        if not isinstance(spacing, str):
            self.grid = str(dict(spacing) if isinstance(spacing, Mapping) else list(spacing))  # for protocols

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: State | None
    ) -> Step[State]:
        """From the images (B, *image_shape) at `t` to those at the earlier time `s`.

        Args:
            denoise: `denoise(x, level)` is the clean image that x stands for at a level; `denoise.level(time)` is a
                level between two times of the grid.
            x_t: The images at `t`.
            t: Where the step begins.
            s: Where it ends.
            noise: What is random in it.
            state: What the step before remembered; None in the first.
        """
        raise TypeError(f"{type(self).__name__} must define step")

    def levels(self, schedule: Schedule) -> list[Level]:
        """The grid from the noisiest level down to clean data.

        Raises:
            ValueError: the schedule does not have the times, or the grid begins where more than `MOST_SIGNAL` of the
                image is left: what grows from noise alone would be too near 0.
        """
        times = time_grid(self.steps, schedule, self.spacing)
        alpha, sigma = schedule(as_times(times, schedule), torch.float64)
        levels = [Level(*point) for point in zip(times, alpha.tolist(), sigma.tolist(), strict=True)]
        signal = (first := levels[0]).alpha / math.hypot(first.alpha, first.sigma)
        if signal > MOST_SIGNAL and first.time < schedule.last:
            listed = not isinstance(self.spacing, str | Mapping)
            remedy = "begin the list later in the schedule" if listed else "take more steps, or spacing=trailing"
            raise ValueError(
                f"steps and spacing must begin where at most {MOST_SIGNAL:g} of a noisy image is signal, "
                f"got {signal:.2g} at the first time {first.time:g} of {schedule.last:g} "
                f"(steps={self.steps}, spacing={self.spacing}); {remedy}"
            )
        return levels

    def conditioning_of(self, model: Denoiser) -> Conditioning:
        """What is told when a model is drawn from: its conditions, and those that the guidance adds."""
        return self.guidance(model).conditioning

    def evaluations_in(self, steps: int) -> int:
        """How often an image's denoiser is evaluated in so many steps, the last of them to clean data."""
        return self.evaluations_per_step * steps

    def evaluations(self, schedule: Schedule) -> int:
        """How often an image's denoiser is evaluated from start to end; guidance may evaluate more than one network."""
        return self.evaluations_in(len(self.levels(schedule)) - 1)

    def evaluations_of(self, model: Denoiser) -> int:
        """How often the denoiser of a model is evaluated for an image."""
        return self.evaluations(model.schedule)

    def require(self, model: object) -> None:
        """Check that the model is a denoiser with a schedule that has the times, and one that can be guided so.

        Raises:
            TypeError: it is not a denoiser.
            ValueError: its schedule does not fit, or clipping, or the guidance, or codes would be made of noise alone;
                all that is wrong is told at once.
        """
        if not isinstance(model, Denoiser):
            raise TypeError(f"{type(self).__name__} draws from a Denoiser, got {type(model).__name__}")
        clipped = self.clip and codec_of(model) is not None
        wrong = ["clip must be false for a model of codes, which may lie anywhere, got true"] if clipped else []
        for check, part in ((self._require_levels, model), (self.guidance, model)):
            try:
                check(part)
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("; ".join(wrong))

    def _require_levels(self, model: Denoiser) -> None:
        self.require_grid(model.schedule)
        if isinstance(model, OfCodes):
            require_told_apart(self.levels(model.schedule)[0], model)

    def require_grid(self, schedule: Schedule) -> None:
        """Check that a schedule has the times, and that steps between them lead to images.

        Raises:
            ValueError: it does not, or they do not.
        """
        self.levels(schedule)

    def start(self, model: Denoiser, noise: IndexedNoise) -> Tensor:
        """Standard normal noise (B, *image_shape).

        Raises:
            TypeError: `model` is not a denoiser.
            ValueError: the sampler does not fit it.
        """
        self.require(model)
        return (self.marks or (lambda start: start))(noise.normal(*model.image_shape))

    def steps_of(self, model: Denoiser) -> int:
        """As many as the grid has."""
        return len(self.levels(model.schedule)) - 1

    def walk(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL
    ) -> Iterator[Snapshot]:
        """All moments of sampling, in codes where the model has them: one before every step, then the end at time 0."""
        levels = self.levels(model.schedule)
        yield from self.onward(model, start * math.hypot(levels[0].alpha, levels[0].sigma), levels, noise, condition)

    def onward(
        self, model: Denoiser, x_t: Tensor, levels: Sequence[Level], noise: IndexedNoise, condition: Condition
    ) -> Iterator[Snapshot]:
        """All moments from the noisy images `x_t` at the first of `levels`, the end of the sampler's grid."""
        denoise, state = self.denoise(model, condition), None
        for t, s in pairwise(levels):
            x_s, x_0, state = self.step(denoise, x_t, t, s, noise, state)
            yield Snapshot(t.time, x_t, x_0)
            x_t = x_s
        yield Snapshot(levels[-1].time, x_t, x_t)

    def denoise(self, model: Denoiser, condition: Condition) -> Denoise:
        """The model as steps see it, ready for all of them."""
        model = prepared(model)
        return Denoise(self.guidance(model), condition, self.clip, self.steps_of(model), model, self.precision)
