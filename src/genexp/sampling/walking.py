"""Drawing in steps: the images at the end, and the moments on the way."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Denoiser, Progress
from genexp.contracts.codecs import codec_of
from genexp.tensors import IndexedNoise


class Snapshot(NamedTuple):
    """A moment of sampling: the images at `time` and what the denoiser took them for, each (B, *image_shape)."""

    time: float
    x_t: Tensor
    x_0: Tensor


class Walking:
    """A sampler that goes on in steps; subclasses implement `walk`, and say how many steps that are."""

    def steps_of(self, model: Denoiser) -> int:
        """How many steps are taken with a model."""
        raise TypeError(f"{type(self).__name__} must define steps_of")

    def walk(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL
    ) -> Iterator[Snapshot]:
        """All moments of sampling, in codes where the model has them: one before every step, then the end at time 0."""
        raise TypeError(f"{type(self).__name__} must define walk")

    @torch.no_grad()
    def run(
        self,
        model: Denoiser,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, *image_shape) grown from the noise `start`."""
        total = self.steps_of(model)
        for done, snapshot in enumerate(self.walk(model, start, noise, condition)):
            images = snapshot.x_t
            if progress is not None and done > 0:
                progress(done, total)
        return pictured(model, images)

    @torch.no_grad()
    def trajectory(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL, frames: int = 8
    ) -> list[Snapshot]:
        """At most `frames` moments of `run`, evenly spaced over its steps, from the start to the final images.

        Raises:
            ValueError: `frames` is below 2.
        """
        if frames < 2:
            raise ValueError(f"frames must be at least 2, the start and the end, got {frames}")
        total = self.steps_of(model)
        shown = {round(i * total / (frames - 1)) for i in range(frames)}
        walked = (each for i, each in enumerate(self.walk(model, start, noise, condition)) if i in shown)
        return [Snapshot(each.time, pictured(model, each.x_t), pictured(model, each.x_0)) for each in walked]


def pictured(model: Denoiser, x: Tensor) -> Tensor:
    """What was drawn from a model as images: themselves, or decoded codes."""
    codec = codec_of(model)
    return x if codec is None else codec.decode(x)
