"""How close a model that makes images of pictures comes to the real image of each picture, on held-out pairs."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch, LatentDecoder
from genexp.evaluation.images import quantised
from genexp.evaluation.metrics.base import DISTANCE, Better, Value
from genexp.evaluation.metrics.reconstruction import squared_error
from genexp.evaluation.over_model import OfModel, mean_over_images, over_images
from genexp.losses.structural_similarity import SIGMA, fitting_window, structural_similarity
from genexp.tensors import IndexedNoise


class Translation(OfModel):
    """`translation_psnr` in decibels, `translation_ssim`, and `translation_l1`, the mean absolute difference of pixels.

    Image i is drawn once, by the noise of sample i, under all that is told of held-out example i, rounded to 8 bits,
    and held against that example. Pixels lie in [-1, 1], and 0 dB is an error of the whole range. Where the told
    picture has the shape of an image, `translation_gain` says by how many decibels the images are nearer than these
    pictures are themselves: at 0 nothing is learned. What the plain pictures score is the detail `copy` of the others.
    Traps: blurred images win all of them, so a model with a critic may look better and score lower; the mean of
    decibels is infinite as soon as one image has no error.

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (2004), SSIM with a Gaussian window of 11 pixels, or the largest that fits.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    values: ClassVar[dict[str, Better]] = {
        "translation_psnr": "higher",
        "translation_ssim": "higher",
        "translation_l1": "lower",
        "translation_gain": "higher",
    }

    def require(self, model: object) -> None:
        """Check that the model makes images of pictures that it is told, in one pass.

        Raises:
            TypeError: it does not.
        """
        if not isinstance(model, LatentDecoder) or not model.conditioning.pictures:
            raise TypeError(
                f"{type(self).__name__} measures a LatentDecoder that is told pictures, got {type(model).__name__}"
            )

    def subject(self, model: LatentDecoder) -> str:
        """Images as they are drawn, of these pictures."""
        return f"8-bit images of {', '.join(model.conditioning.pictures)}, values in [-1, 1]"

    @torch.no_grad()
    def compute(self, model: LatentDecoder, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The values, with the interval of other held-out pairs."""
        measured, group, _ = over_images(batches, seed, partial(_measured, model))
        made, copied = measured.unbind(1)
        found = {
            "translation_psnr": mean_over_images(made[:, 0], group, "dB"),
            "translation_ssim": mean_over_images(made[:, 1], group, limits=(-1.0, 1.0)),
            "translation_l1": mean_over_images(made[:, 2], group, limits=DISTANCE),
        }
        if copied.isnan().any():
            return found
        plain = copied.mean(0).tolist()
        found = {n: replace(value, details={"copy": c}) for (n, value), c in zip(found.items(), plain, strict=True)}
        return {**found, "translation_gain": mean_over_images(made[:, 0] - copied[:, 0], group, "dB")}


def _measured(model: LatentDecoder, batch: Batch, noise: IndexedNoise) -> Tensor:
    """PSNR, SSIM and distance of generated images and of the pictures themselves, (B, 2, 3)."""
    condition, real = model.conditioning.told(batch), batch["image"]
    made = quantised(model.decode(noise.normal(*model.latent_shape), condition))
    picture = condition[next(iter(model.conditioning.pictures))]
    copied = picture if picture.shape == real.shape else torch.full_like(real, float("nan"))
    return torch.stack([_closeness(made, real), _closeness(copied, real)], 1)


def _closeness(image: Tensor, real: Tensor) -> Tensor:
    window = fitting_window(tuple(real.shape[1:]), None)
    return torch.stack(
        [
            -10 * (squared_error(image, real) / 4).log10(),
            structural_similarity(image, real, window, SIGMA)[0].double(),
            (image.double() - real.double()).abs().flatten(1).mean(1),
        ],
        1,
    )
