"""The density of a diffusion model's deterministic sampler, by following held-out data back to noise."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import Condition, Conditioning
from genexp.contracts import Batch, Schedule
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import OfLevels, mean_over_images, over_images, require_split
from genexp.tensors import IndexedNoise, from_levels, to_levels

OF_REAL_TIMES = ("rectified_flow", "linear_continuous", "cosine_continuous", "variance_exploding", "edm")
"""The files in conf/model/schedule of schedules with real times."""


@runtime_checkable
class LeveledDenoiser(Protocol):
    """A denoiser of data whose values have `levels`, or are real where that is None."""

    levels: int | None
    conditioning: Conditioning
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor: ...


class PathPoint(NamedTuple):
    """A time of the way: z = x_t / `size` is at `place`, and moves by eps - `pull` x_0 a unit of it."""

    time: Tensor
    alpha: float
    sigma: float
    pull: float

    @property
    def size(self) -> float:
        """alpha, or alpha + sigma where the image pulls."""
        return self.alpha + self.pull * self.sigma

    @property
    def place(self) -> float:
        """The noise level of z."""
        return self.sigma / self.size


class FlowLikelihood(OfLevels):
    """`flow_nll` = -log p(x) in nats and `flow_bits_per_dim`, p being what the probability-flow ODE draws from.

    x_t / (alpha + sigma) moves by eps - x_0 along sigma / (alpha + sigma), and x_t / alpha by eps along sigma / alpha;
    log p changes by minus the divergence, which is estimated without bias by one random direction an image. Both are
    followed by Heun's method, from the schedule's first time to its last. Values with levels get uniform noise of one
    level's width, which makes p of them a bound. Traps: the model is not trained for it, and more steps may be needed
    than for pictures; see that doubling `steps` changes nothing.

    Reference: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), appendix
    D.2; the direction of Hutchinson, from Grathwohl et al., "FFJORD" (2019).

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        steps: Of two evaluations of the denoiser and its gradient each, at least 1.
        along: `flow`, the first of the two ways, which errs less and is right for every schedule; or `noise`, for a
            network that predicts the noise where hardly any signal is left, as at the end of `CosineContinuous`.

    Raises:
        ValueError: an argument is out of range.
    """

    measured = LeveledDenoiser
    values: ClassVar[dict[str, Better]] = {"flow_nll": "lower", "flow_bits_per_dim": "lower"}

    def __init__(self, split: str = "val", steps: int = 100, along: Literal["flow", "noise"] = "flow") -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if along not in ("flow", "noise"):
            raise ValueError(f"along must be flow or noise, got {along!r}")
        self.split, self.steps, self.along = require_split(split), steps, along

    def require(self, model: object) -> None:
        """Check that the model is a denoiser of real times that knows the levels of its data.

        Between integer times there is no slope: values would not settle as steps grow.

        Raises:
            TypeError: it is not.
        """
        super().require(model)
        if model.schedule.discrete:
            kind = type(model.schedule).__name__
            raise TypeError(
                f"{type(self).__name__} measures schedules of real times, got {kind}; metrics=bound measures both, and "
                f"model/schedule={', '.join(OF_REAL_TIMES[:-1])} or {OF_REAL_TIMES[-1]} train a model that has them"
            )

    def subject(self, model: LeveledDenoiser) -> str:
        """What p is a distribution over."""
        return self.over(model) + ("" if model.levels is None else ", dequantised")

    def compute(self, model: LeveledDenoiser, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values, with the interval of other held-out images."""
        nats, group, dimensions = over_images(batches, seed, lambda batch, noise: -self.log_prob(model, batch, noise))
        values = {"flow_nll": mean_over_images(nats, group, "nats")}
        if model.levels is not None:
            values["flow_bits_per_dim"] = mean_over_images(nats / (dimensions * math.log(2)), group, "bits")
        return values

    @torch.no_grad()
    def log_prob(self, model: LeveledDenoiser, batch: Batch, noise: IndexedNoise) -> Tensor:
        """Nats (B,) of the images of a batch."""
        x, dimensions = batch["image"], batch["image"][0].numel()
        direction = noise.normal(*x.shape[1:]).sign().to(x.dtype)
        extra = 0.0
        if model.levels is not None:
            width = 2 / (model.levels - 1)
            spread = (noise.uniform(*x.shape[1:]) - 0.5) * width
            x, extra = from_levels(to_levels(x, model.levels), model.levels) + spread, dimensions * math.log(width)
        way, condition = _way(model.schedule, self.steps, self.along), model.conditioning.told(batch)
        first, last = way[0], way[-1]
        shrunk = first.alpha / first.size
        z, gained = x * shrunk, torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for here, there in pairwise(way):
            length = there.place - here.place
            slope, spreading = _slope(model, z, here, direction, condition)
            end_slope, end_spreading = _slope(model, z + length * slope, there, direction, condition)
            z = z + length / 2 * (slope + end_slope)
            gained = gained + length / 2 * (spreading + end_spreading)
        width = math.hypot(last.alpha, last.sigma) / last.size
        density = -((z / width).square().flatten(1).sum(1) / 2) - dimensions * math.log(width * math.sqrt(2 * math.pi))
        return density + gained + dimensions * math.log(shrunk) + extra


def _slope(
    model: LeveledDenoiser, z: Tensor, at: PathPoint, direction: Tensor, condition: Condition
) -> tuple[Tensor, Tensor]:
    """eps - pull x_0 at z, and its divergence (B,) as the direction sees it."""
    with torch.enable_grad():
        seen = z.detach().requires_grad_()
        x_t = seen * at.size
        t = at.time.to(z.device, z.dtype).expand(len(z))
        x_0 = model(x_t, t, condition).to(z.dtype)
        slope = (x_t - at.alpha * x_0) / at.sigma - at.pull * x_0
        (pulled,) = torch.autograd.grad(slope, seen, direction)
    return slope.detach(), (pulled * direction).flatten(1).sum(1)


def _way(schedule: Schedule, steps: int, along: str) -> list[PathPoint]:
    """Times from the first to the last, even in the log-SNR where that is finite, else as training has them."""
    ends = torch.tensor([schedule.first, schedule.last], dtype=torch.float64)
    high, low = schedule.log_snr(ends).tolist()
    even = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    times = schedule.at_snr(high + (low - high) * even) if math.isfinite(low) else schedule.times(even)
    times = times.clamp(schedule.first, schedule.last)
    alpha, sigma = schedule(times, torch.float64)
    if along == "noise" and not math.isfinite(low):
        raise ValueError(f"along must be flow where no signal is left at the last time, {schedule.last:g}, got noise")
    pull = 1.0 if along == "flow" else 0.0
    return [PathPoint(*point, pull) for point in zip(times, alpha.tolist(), sigma.tolist(), strict=True)]
