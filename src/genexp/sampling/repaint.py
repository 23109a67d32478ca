"""Inpainting by a model that was not trained for it: RePaint."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Denoiser
from genexp.contracts.codecs import codec_of
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.editing import Edited, Originals
from genexp.sampling.levels import step_variance
from genexp.sampling.walking import Snapshot
from genexp.tensors import IndexedNoise


@dataclass(frozen=True)
class RePaint:
    """Keep what is known of an image and draw the rest: after every step the known pixels are the noised original's.

    So that both parts come to fit each other, the way goes back: wherever another `jump_length` steps are done, as much
    noise is added as these took away, and they are taken anew, until they were taken `resamplings` times. At the end
    the known pixels are those of the original exactly. A step begins with images that the one before did not make, so
    that it must not remember any: samplers that do are refused.

    Reference: Lugmayr et al., "RePaint: Inpainting using Denoising Diffusion Probabilistic Models" (2022), algorithm 1
    and appendix B for the jumps.

    Args:
        jump_length: Steps of the sampler that are taken anew at a time, at least 1.
        resamplings: How often they are taken in all, at least 1; 1 goes straight down.

    Raises:
        ValueError: a number is below 1.
    """

    jump_length: int = 10
    resamplings: int = 10
    edits = DiffusionSampler
    wants_mask = True

    def __post_init__(self) -> None:
        for name, value in (("jump_length", self.jump_length), ("resamplings", self.resamplings)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def __call__(self, sampler: DiffusionSampler, originals: Originals) -> Edited:
        """The sampler that keeps the known pixels.

        Raises:
            ValueError: the sampler remembers earlier steps, or nothing is said to be known.
        """
        if sampler.remembers:
            raise ValueError(
                "sampler must look at the present image alone for inpainting, as ddpm, ddim, euler and heun do, "
                f"got {type(sampler).__name__}, whose steps remember those before"
            )
        if originals.known is None:
            raise ValueError("known must say what is kept of the images, got none")
        return _RePainted(sampler, originals, self.jump_length, self.resamplings)


def places(steps: int, jump_length: int, resamplings: int) -> list[int]:
    """How many steps are left to go at every turn of the way, from all to none; more than before after a jump back.

    Jumps begin where 1, 1 + jump_length, 1 + 2 jump_length, ... steps are left, as far as there are so many to go back.
    """
    jumps = dict.fromkeys(range(1, steps - jump_length + 1, jump_length), resamplings - 1)
    left, way = steps, [steps]
    while left > 0:
        left -= 1
        way.append(left)
        if jumps.get(left, 0) > 0:
            jumps[left] -= 1
            left += jump_length
            way.append(left)
    return way


class _RePainted(Edited):
    def __init__(self, sampler: DiffusionSampler, originals: Originals, jump_length: int, resamplings: int) -> None:
        super().__init__(sampler, originals)
        self.jump_length, self.resamplings = jump_length, resamplings

    def require(self, model: object) -> None:
        """Check as every edit does, and that there are pixels to keep, and steps to take anew."""
        super().require(model)
        if codec_of(model) is not None:
            raise ValueError("edit must not be repaint for a model of codes, which have no pixels that could be kept")
        steps = self.sampler.steps_of(model)
        if self.resamplings > 1 and self.jump_length >= steps:
            raise ValueError(f"jump_length must be below the sampler's {steps} steps, got {self.jump_length}")

    def steps_of(self, model: Denoiser) -> int:
        way = self._way(model)
        return sum(after < before for before, after in pairwise(way))

    def evaluations_of(self, model: Denoiser) -> int:
        return self.sampler.evaluations_in(self.steps_of(model))

    def walk(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL
    ) -> Iterator[Snapshot]:
        levels = self.sampler.levels(model.schedule)[::-1]  # by the number of steps that are left
        denoise = self.sampler.denoise(model, condition)
        original, known = self.originals.of(noise)
        x_t = start * math.hypot(levels[-1].alpha, levels[-1].sigma)
        for before, after in pairwise(self._way(model)):
            t, s = levels[before], levels[after]
            if before < after:
                x_t = s.alpha / t.alpha * x_t + step_variance(s, t) ** 0.5 * noise.normal(*x_t.shape[1:])
                continue
            x_s, x_0, _ = self.sampler.step(denoise, x_t, t, s, noise, None)
            yield Snapshot(t.time, x_t, x_0)
            kept = original if s.sigma == 0 else s.alpha * original + s.sigma * noise.normal(*x_t.shape[1:])
            x_t = torch.where(known, kept, x_s)
        x_t = torch.where(known, original, x_t)  # a grid may end where a little noise is left
        yield Snapshot(levels[0].time, x_t, x_t)

    def _way(self, model: Denoiser) -> list[int]:
        return places(self.sampler.steps_of(model), self.jump_length, self.resamplings)
