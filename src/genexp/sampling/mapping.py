"""Sampling from a model whose images come from given images."""

import torch
from torch import Tensor

from genexp.contracts import Batch, ImageMap, Progress
from genexp.tensors import IndexedNoise


class Mapping:
    """The images that an `ImageMap` makes of a batch: style transfer, super-resolution. Nothing is random."""

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
        label: Tensor | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] rendered from the batch `start`.

        Raises:
            TypeError: `model` is not an image map.
        """
        if not isinstance(model, ImageMap):
            raise TypeError(f"Mapping renders with an ImageMap, got {type(model).__name__}")
        images = model.render(start)
        if progress is not None:
            progress(1, 1)
        return images
