"""Sampling from a model whose images come from given images."""

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, ImageMap, Progress, Stylizer
from genexp.tensors import IndexedNoise


class Mapping:
    """The images that an `ImageMap` makes of a batch: style transfer, super-resolution. Nothing is random.

    Args:
        alpha: Strength of the style in [0, 1], for a `Stylizer`; None renders as the model itself would.

    Raises:
        ValueError: `alpha` lies outside [0, 1].
    """

    def __init__(self, alpha: float | None = None) -> None:
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1] or be null, got {alpha}")
        self.alpha = alpha

    def require(self, model: object) -> None:
        """Check that the model maps images, and takes `alpha` where one is given.

        Raises:
            TypeError: it does not.
        """
        if not isinstance(model, ImageMap):
            raise TypeError(f"Mapping renders with an ImageMap, got {type(model).__name__}")
        if self.alpha is not None and not isinstance(model, Stylizer):
            raise TypeError(f"alpha needs a Stylizer, got {type(model).__name__}: leave it null")

    def start(self, model: ImageMap, noise: IndexedNoise) -> Batch:
        """There is nothing to draw.

        Raises:
            TypeError: always; the batch of given images is the start.
        """
        raise TypeError("Mapping starts from a batch of given images, which cannot be drawn from noise")

    @torch.no_grad()
    def run(
        self,
        model: ImageMap,
        start: Batch,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] rendered from the batch `start`.

        Raises:
            TypeError: `model` is not an image map, or `alpha` is given and it is no stylizer.
        """
        self.require(model)
        if self.alpha is None:
            images = model.render(start)
        else:
            images = model.stylize(start["content"], start["style"], self.alpha)
        if progress is not None:
            progress(1, 1)
        return images
