"""How close images come back from a model that encodes and decodes them."""

from collections.abc import Iterable
from typing import ClassVar

import torch

from genexp.contracts import Batch, Reconstructor
from genexp.evaluation.metrics.base import DISTANCE, Better, Value
from genexp.evaluation.metrics.reconstruction import squared_error
from genexp.evaluation.over_model import OfModel, mean_over_images, over_images


class Autoencoding(OfModel):
    """`autoencoding_mse`, the mean squared error of pixel values in [-1, 1], and `autoencoding_psnr` in decibels.

    The code of an image is that of the model's choice, as a posterior mean; nothing is random. Traps: blurred images
    win; the mean of decibels is infinite as soon as one image comes back without any error.

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (2004), for what such errors do not see.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    measured = Reconstructor
    values: ClassVar[dict[str, Better]] = {"autoencoding_mse": "lower", "autoencoding_psnr": "higher"}

    def subject(self, model: Reconstructor) -> str:
        """Images as the model returns them."""
        return "values in [-1, 1]"

    @torch.no_grad()
    def compute(self, model: Reconstructor, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values, with the interval of other held-out images."""
        error, group, _ = over_images(
            batches, seed, lambda batch, noise: squared_error(model.reconstruct(batch), batch["image"])
        )
        return {
            "autoencoding_mse": mean_over_images(error, group, limits=DISTANCE),
            "autoencoding_psnr": mean_over_images(-10 * (error / 4).log10(), group, "dB"),
        }
