"""Sampling of autoregressive models: one pixel value after the other."""

from collections.abc import Iterator

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Autoregressive, Progress
from genexp.contracts.in_order import Place
from genexp.contracts.tokenisers import OfTokens
from genexp.tensors import IndexedNoise, from_levels, to_levels


class Ancestral:
    """Every pixel value is drawn from its distribution given the values before it.

    A value is the quantile of that distribution at P(z), z being a normal number of its own: images follow from their
    starting noise, so that noises can be interpolated.

    Networks that remember what they computed for earlier values draw an image at about the cost of one evaluation;
    others run over the whole image for every value.

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
        if not isinstance(model, Autoregressive | OfTokens):
            raise TypeError(f"{type(self).__name__} draws from an Autoregressive, got {type(model).__name__}")

    def evaluations_of(self, model: Autoregressive | OfTokens) -> int:
        """How often the network of a model runs for an image, at all places or at one."""
        return _in_order(model).evaluations

    def start(self, model: Autoregressive | OfTokens, noise: IndexedNoise) -> Tensor:
        """Standard normal numbers (B, C, H, W), one for every value to be drawn.

        Raises:
            TypeError: `model` is not autoregressive.
        """
        self.require(model)
        return noise.normal(*_in_order(model).image_shape)

    def run(
        self,
        model: Autoregressive | OfTokens,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] at the model's levels, or what drawn codes become."""
        given, known, values = torch.zeros_like(start), start.new_zeros(1, 1, 1, 1).bool(), _in_order(model)
        drawn = self.completed(values, start, given, known, condition, progress)
        if not isinstance(model, OfTokens):
            return drawn
        return model.tokeniser.from_tokens(to_levels(drawn, values.levels)[:, 0])

    @torch.no_grad()
    def completed(
        self,
        model: Autoregressive,
        start: Tensor,
        image: Tensor,
        known: Tensor,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images some of whose pixels are given, and the others drawn in their order.

        A pixel is drawn given those before it, known and drawn ones; of known ones after it nothing is seen.

        Args:
            model: What is drawn from.
            start: Standard normal numbers (B, C, H, W).
            image: Images (B, C, H, W) in [-1, 1].
            known: Where they are kept, at the nearest level; bool (B or 1, 1, H or 1, W or 1).
            condition: What the images are drawn under.
            progress: Told of every value.

        Returns:
            Images (B, C, H, W) in [-1, 1] at the model's levels.
        """
        uniform = torch.special.ndtr(start.double())
        known = known.expand(len(start), 1, *start.shape[2:])
        given = from_levels(to_levels(image, model.levels), model.levels).to(start.dtype)
        image, steps = given.where(known, 0), model.steps(len(start), condition)
        for done, place in enumerate(_places(model)):
            at, kept = (slice(None), *place), known[:, 0, *place[1:]]
            if not kept.all():
                logits = steps(image, place).double() / self.temperature
                below = logits.softmax(1).cumsum(1) < uniform[at][:, None]
                drawn = from_levels(below.sum(1).clamp(max=model.levels - 1), model.levels)
                image[at] = torch.where(kept, image[at], drawn.to(image.dtype))
            if progress is not None:
                progress(done + 1, start[0].numel())
        return image


def _in_order(model: Autoregressive | OfTokens) -> Autoregressive:
    """What is drawn one value after the other: the model, or its density of codes."""
    return model.of_codes if isinstance(model, OfTokens) else model


def _places(model: Autoregressive) -> Iterator[Place]:
    """All values of an image in their order."""
    channels, height, width = model.image_shape
    for number in range(channels * height * width):
        yield number % channels, number // channels // width, number // channels % width
