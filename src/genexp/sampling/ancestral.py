"""Sampling of autoregressive models: one pixel value after the other."""

from math import prod

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Autoregressive, Progress
from genexp.tensors import IndexedNoise, from_levels


class Ancestral:
    """Every pixel value is drawn from its distribution given the values before it.

    A value is the quantile of that distribution at P(z), z being a normal number of its own: images follow from their
    starting noise, so that noises can be interpolated.

    Args:
        temperature: Divides the logits, above 0; below 1 sharpens the distributions.

    Raises:
        ValueError: `temperature` is not above 0.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def require(self, model: object) -> None:
        """Check that the model is autoregressive.

        Raises:
            TypeError: it is not.
        """
        if not isinstance(model, Autoregressive):
            raise TypeError(f"{type(self).__name__} draws from an Autoregressive, got {type(model).__name__}")

    def evaluations_of(self, model: Autoregressive) -> int:
        """One for every value of an image."""
        return prod(model.image_shape)

    def start(self, model: Autoregressive, noise: IndexedNoise) -> Tensor:
        """Standard normal numbers (B, C, H, W), one for every value to be drawn.

        Raises:
            TypeError: `model` is not autoregressive.
        """
        self.require(model)
        return noise.normal(*model.image_shape)

    @torch.no_grad()
    def run(
        self,
        model: Autoregressive,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] at the model's levels; the network runs once for every value."""
        uniform = torch.special.ndtr(start.double())
        image = torch.zeros_like(start, dtype=torch.float32)
        channels, height, width = model.image_shape
        for done in range(height * width * channels):
            place = (slice(None), done % channels, done // channels // width, done // channels % width)
            logits = model.logits(image, condition)[:, :, *place[1:]].double() / self.temperature
            below = logits.softmax(1).cumsum(1) < uniform[place][:, None]
            image[place] = from_levels(below.sum(1).clamp(max=model.levels - 1), model.levels)
            if progress is not None:
                progress(done + 1, height * width * channels)
        return image
