"""Whether lesions are preserved by a model that makes images of pictures, as a reader of its images would need."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from genexp.contracts import Batch, LatentDecoder
from genexp.evaluation.images import quantised
from genexp.evaluation.metrics.base import SHARE, Better, Value
from genexp.evaluation.metrics.translation import Translation
from genexp.evaluation.over_model import mean_over_images, over_images
from genexp.tensors import IndexedNoise

LEAST_SHARE = 0.5
"""Of the contrast of the real lesion, that one has which is kept."""

LEAST_AREA = 1.0
"""Pixels of a lesion, and of the organ around it, that are counted."""


class LesionPlaces(Protocol):
    """What knows where the lesions of data are."""

    kinds: tuple[str, ...]

    def shares(self, split: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The shares (B, K, H, W) of every pixel that are lesion and the organ around it, for rows (B,) of a split."""
        ...


class Lesions(Translation):
    """`lesions_kept`, the share of lesions that can be seen in the images as in the real ones.

    The contrast of a lesion is the mean of its pixels less that of the organ around it. One is kept whose contrast in
    the image has the sign of the real one and at least half its size; images are drawn as for `translation`. Lesions
    or organs of less than a pixel are left out. Details: the share of every kind of lesion, the mean contrast as a
    share of the real one, how many lesions there are, and `copy`, what the told pictures score themselves.

    Higher is better. Traps: a lesion that is painted into an organ that has none is not seen, so a model that paints
    one into all scores high; a lesion of the right contrast may have another size or edge. An image that is nearer by
    its mean error may have lost all lesions, since they have few pixels.

    Args:
        truth: Says where the lesions are.
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    values: ClassVar[dict[str, Better]] = {"lesions_kept": "higher"}

    def __init__(self, truth: LesionPlaces, split: str = "val") -> None:
        super().__init__(split)
        self._truth = truth

    @torch.no_grad()
    def compute(self, model: LatentDecoder, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The share, with the interval of other held-out pairs; nothing where no picture has a lesion."""
        contrasts, group, _ = over_images(batches, seed, partial(self._measured, model))
        real, made, copied = contrasts.unbind(1)
        there = real.isfinite()
        if not there.any():
            return {}
        kept = made / real >= LEAST_SHARE
        details = {
            kind: float(kept[there[:, place], place].double().mean())
            for place, kind in enumerate(self._truth.kinds)
            if there[:, place].any()
        }
        details |= {"contrast": float((made / real)[there].mean()), "lesions": float(there.sum())}
        if copied[there].isfinite().all():
            details["copy"] = float((copied / real >= LEAST_SHARE)[there].double().mean())
        groups = group[:, None].expand_as(there)[there]
        found = mean_over_images(kept[there].double(), groups, limits=SHARE)
        return {"lesions_kept": Value(found.value, found.draws, details, SHARE)}

    def _measured(self, model: LatentDecoder, batch: Batch, noise: IndexedNoise) -> Tensor:
        """Contrasts (B, 3, K) of real, made and told pictures; NaN without a lesion, or a picture of that shape."""
        condition, real = model.conditioning.told(batch), batch["image"]
        made = quantised(model.decode(noise.normal(*model.latent_shape), condition))
        picture = condition[next(iter(model.conditioning.pictures))]
        copied = picture if picture.shape == real.shape else torch.full_like(real, float("nan"))
        lesion, organ = (
            share.to(real.device).double() for share in self._truth.shares(self.split, torch.tensor(noise.indices))
        )
        return torch.stack([_contrast(image, lesion, organ) for image in (real, made, copied)], 1)


def _contrast(image: Tensor, lesion: Tensor, organ: Tensor) -> Tensor:
    """Mean of images (B, 1, H, W) over lesions less that over organs, both shares (B, K, H, W); (B, K)."""
    areas = [share.sum((2, 3)) for share in (lesion, organ)]
    inside, around = (
        (image.double().mean(1, keepdim=True) * share).sum((2, 3)) / area
        for share, area in zip((lesion, organ), areas, strict=True)
    )
    there = torch.minimum(*areas) >= LEAST_AREA
    return torch.where(there, inside - around, float("nan"))
