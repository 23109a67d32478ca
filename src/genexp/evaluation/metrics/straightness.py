"""How straight the paths of a flow are from noise to image."""

from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch, Denoiser, Schedule
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import OfModel, mean_over_images, over_images, require_split
from genexp.tensors import IndexedNoise


class Straightness(OfModel):
    """`straightness` = E of the integral over t of |(z_1 - z_0) - v(z_t, t)|^2, a value; 0 for straight paths.

    z follows the flow dz = v dt of the model from noise at t = 1 to the image at 0 by Euler's method, under what a
    held-out image says of itself. At 0 one step of Euler draws what many do.

    Reference: Liu et al., "Flow Straight and Fast" (2023), section 2.2, S(Z).

    Args:
        split: `train`, `val` or `test` of the data that the model learned from: their conditions, their count.
        steps: Of one evaluation of the denoiser each, at least 2.

    Raises:
        ValueError: an argument is out of range.
    """

    values: ClassVar[dict[str, Better]] = {"straightness": "lower"}

    def __init__(self, split: str = "val", steps: int = 100) -> None:
        if steps < 2:
            raise ValueError(f"steps must be at least 2, got {steps}")
        self.split, self.steps = require_split(split), steps

    def require(self, model: object) -> None:
        """Check that the model is a denoiser of a rectified flow, whose straight line is that between noise and image.

        Raises:
            TypeError: it is not.
        """
        schedule = model.schedule if isinstance(model, Denoiser) else None
        if schedule is None or not _is_straight(schedule):
            kind = type(model if schedule is None else schedule).__name__
            raise TypeError(f"{type(self).__name__} measures a model of model/schedule=rectified_flow, got {kind}")

    def subject(self, model: Denoiser) -> str:
        """What is measured."""
        return "the flow of the model"

    def compute(self, model: Denoiser, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The value, with the interval of other noises."""
        found, group, _ = over_images(batches, seed, lambda batch, noise: self.of(model, batch, noise))
        return {"straightness": mean_over_images(found, group, limits=(0.0, float("inf")))}

    @torch.no_grad()
    def of(self, model: Denoiser, batch: Batch, noise: IndexedNoise) -> Tensor:
        """The integral (B,) of the paths from some noises under the conditions of a batch."""
        told = model.conditioning.told(batch)
        start = z = noise.normal(*model.image_shape)
        times = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64).tolist()
        velocities = []
        for t, s in pairwise(times):
            velocity = (z - model(z, torch.full((len(z),), t, dtype=z.dtype, device=z.device), told)) / t
            velocities.append(velocity)
            z = z - (t - s) * velocity
        return torch.stack([(start - z - each).square().flatten(1).mean(1) for each in velocities]).mean(0)


def _is_straight(schedule: Schedule) -> bool:
    """Whether a noisy image is on the straight line between the image and the noise: alpha = 1 - t, sigma = t."""
    if schedule.discrete or schedule.last != 1:
        return False
    t = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)
    alpha, sigma = schedule(t, torch.float64)
    return torch.allclose(alpha, 1 - t) and torch.allclose(sigma, t)
