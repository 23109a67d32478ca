"""From images back to the noise that they are drawn from."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Denoiser
from genexp.contracts.codecs import Magnifies
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.denoising import level_at
from genexp.sampling.levels import Level, noise_in
from genexp.tensors import BatchNoise

_LEAST = 1e-9
"""What an error of the network comes to in images, below which it says nothing of them."""
_MOST = 30
"""What an error of the network may come to in the noise that is left."""


@torch.no_grad()
def inverted(
    sampler: DiffusionSampler, model: Denoiser, images: Tensor, condition: Condition = UNCONDITIONAL
) -> Tensor:
    """The starting noise from which a sampler without fresh noise draws `images`, by its own steps from data to noise.

    Without fresh noise drawing follows the flow of an ordinary differential equation, which goes either way; a step
    from s up to t is a step of the sampler with the two exchanged. Drawing from what is found gives the images back but
    for the errors of both ways, which fall with the steps as the order of the sampler says. The way begins at the least
    noise that the model was trained at, where an image stands for itself, and its first step is one of DDIM. Of a
    network that predicts clean images an error there is one of many times the size in the noise: such a way begins at
    the least noise of the grid where it is not.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), section 4.3, equation 14.

    Args:
        sampler: A diffusion sampler without fresh noise; its grid, clipping and guidance hold here too.
        model: What it draws from.
        images: Clean images (B, *image_shape).
        condition: What the images are known to be.

    Returns:
        Noise (B, *image_shape), near standard normal where the images are likely ones.

    Raises:
        TypeError: `model` is no denoiser.
        ValueError: the sampler adds noise or does not fit the model, the images are of another shape, or the model
            is one of consistency.
    """
    require_invertible(sampler)
    sampler.require(model)
    if tuple(images.shape[1:]) != tuple(model.image_shape):
        raise ValueError(f"images must have the shape {tuple(model.image_shape)}, got {tuple(images.shape[1:])}")
    rising, state = _rising(sampler, model), None
    denoise = sampler.denoise(model, condition)
    first = denoise.level(model.schedule.first)
    require_finds_noise(model, first)
    if len(rising) < 2 and not _knows_noise(model, first):
        raise ValueError(
            "sampler must have a time between images and noise, to be inverted by predicted images, got none"
        )
    if _knows_noise(model, first):
        x = first.alpha * images
        x_0 = denoise(x, first)
        x = rising[0].alpha * x_0 + rising[0].sigma * noise_in(x, x_0, first)
    else:
        x = rising[0].alpha * images
    for s, t in pairwise(rising):
        x, _, state = sampler.step(denoise, x, s, t, BatchNoise(x), state)
    return x / math.hypot(rising[-1].alpha, rising[-1].sigma)


def require_invertible(sampler: DiffusionSampler) -> None:
    """Raise ValueError unless a sampler adds no fresh noise, and rounds little enough to find noise again."""
    if not sampler.deterministic:
        raise ValueError(f"sampler must add no fresh noise to be inverted, got {type(sampler).__name__} with some")
    if not sampler.invertible:
        raise ValueError(f"sampler must take steps that can be inverted, got {type(sampler).__name__}")
    if sampler.precision != "32-true":
        raise ValueError(
            f"sampler.precision must be 32-true to be inverted, as noise is not found again through the rounding of "
            f"{sampler.precision}"
        )


def require_finds_noise(model: Denoiser, first: Level) -> None:
    """Raise ValueError where a model leaves images at the first time as they are, as consistency models do."""
    if isinstance(model, Magnifies) and model.magnified(first.alpha, first.sigma) < _LEAST:
        raise ValueError(
            f"model must say at the first time {first.time:g} what noise is left, to be inverted, got one that leaves "
            "images there as they are, as consistency models do"
        )


def inverting_evaluations(sampler: DiffusionSampler, model: Denoiser) -> int:
    """How often a denoiser is evaluated from images to noise, of which a first step, if there is one, takes one."""
    first = level_at(model.schedule.first, model.schedule)
    return sampler.evaluations_in(len(_rising(sampler, model))) - (not _knows_noise(model, first))


def _knows_noise(model: Denoiser, level: Level) -> bool:
    """Whether errors of a model leave something of the noise that it says is left at a level."""
    return (
        not isinstance(model, Magnifies)
        or model.magnified(level.alpha, level.sigma) * level.alpha <= _MOST * level.sigma
    )


def _rising(sampler: DiffusionSampler, model: Denoiser) -> list[Level]:
    """The grid from the least noise that the way begins with or goes on to up to the most."""
    rising = sampler.levels(model.schedule)[-2::-1]
    rising = rising[1:] if math.isclose(model.schedule.first, rising[0].time) else rising
    return [level for level in rising[:-1] if _knows_noise(model, level)] + rising[-1:]
