"""Completion of given images by a model that draws one value after the other."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Autoregressive, Progress
from genexp.sampling.editing import Originals, require_like
from genexp.tensors import IndexedNoise
from genexp.terminal import counted


@runtime_checkable
class Completing(Protocol):
    """A sampler that can draw the unknown pixels of images whose other pixels are given."""

    def require(self, model: object) -> None: ...

    def start(self, model: Autoregressive, noise: IndexedNoise) -> Tensor: ...

    def completed(
        self,
        model: Autoregressive,
        start: Tensor,
        image: Tensor,
        known: Tensor,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) that are `image` at the model's levels where `known`, and drawn elsewhere."""
        ...


@dataclass(frozen=True)
class Completed:
    """Keep the known pixels of an image, at the model's levels, and draw the others in their order.

    Every drawn pixel is given all before it, in rows from the top: kept ones exactly as such a model is of its own
    pixels, so that an image whose upper part is known is completed as the model has learned. Of a pixel that is kept
    after it nothing is seen: an image whose lower part is known has an upper part drawn as if nothing were known.
    """

    edits = Completing
    wants_mask = True

    def __call__(self, sampler: Completing, originals: Originals) -> "CompletedSampler":
        """The sampler that keeps the known pixels.

        Raises:
            ValueError: nothing is said to be known.
        """
        if originals.known is None:
            raise ValueError("known must say what is kept of the images, got none")
        return CompletedSampler(sampler, originals)

    def remarks(self, known: Tensor) -> list[str]:
        """What should be known of a mask (N, 1, H, W): how many kept pixels come after a drawn one.

        A mask that keeps the upper rows has none.
        """
        drawn_before = (~known.flatten(1)).cumsum(1) > 0
        unseen = int((known.flatten(1) & drawn_before).sum(1).amax())
        if not unseen:
            return []
        return [f"kept        {counted(unseen, 'pixel')} after drawn ones, which do not see them: rows go from the top"]


class CompletedSampler:
    """A sampler of values in their order that begins with given images.

    Args:
        sampler: How the others are drawn.
        originals: The images, and where they are kept.
    """

    def __init__(self, sampler: Completing, originals: Originals) -> None:
        self.sampler, self.originals = sampler, originals

    def require(self, model: object) -> None:
        """Check that the sampler draws from the model, and that the images are like the model's.

        Raises:
            TypeError: it does not.
            ValueError: the images have another shape.
        """
        self.sampler.require(model)
        if not isinstance(model, Autoregressive):
            raise TypeError(f"Completed needs pixels that are drawn in order, got {type(model).__name__}")
        require_like(self.originals, model.image_shape)

    def start(self, model: Autoregressive, noise: IndexedNoise) -> Tensor:
        """What the sampler begins with where there are no images."""
        self.require(model)
        return self.sampler.start(model, noise)

    def evaluations_of(self, model: Autoregressive) -> int:
        """How often the network of a model runs for the image of which least is kept."""
        known = self.originals.known
        drawn = int((~known).flatten(1).sum(1).amax())
        return model.evaluations * drawn // known[0].numel()

    def run(
        self,
        model: Autoregressive,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] at the model's levels."""
        images, known = self.originals.of(noise)
        return self.sampler.completed(model, start, images, known, condition, progress)


def upper_half(images: Tensor) -> Tensor:
    """The upper rows (1, 1, H, W) of images (B, C, H, W), as what is known of them."""
    height, width = images.shape[-2:]
    return (torch.arange(height, device=images.device) < height // 2).view(1, 1, -1, 1).expand(1, 1, height, width)
