"""What the latents of images know of their classes, by classifiers that need no training loop."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genexp.contracts import Batch, LatentEncoder
from genexp.evaluation.latent_models import OfEncoder
from genexp.evaluation.metrics.base import SHARE, Better, Value
from genexp.evaluation.over_model import mean_over_images, over_images, require_split

_ROWS = 512
"""Latents whose distances from all others are held at once."""
_PIXELS = 4096
"""Most numbers of an image that is probed beside its latent: a regression on more takes long."""


@dataclass(frozen=True)
class Learned:
    """Labelled latents, and the ridge regression of their classes.

    Args:
        latent: Latents (N, D), float64.
        label: Their classes (N,).
        weight: Of standardised latents (D, classes).
        mean: Of the latents (D,).
        scale: Standard deviation of every unit (D,); 1 for one that does not vary.
        share: Of every class (classes,).
    """

    latent: Tensor
    label: Tensor
    weight: Tensor
    mean: Tensor
    scale: Tensor
    share: Tensor

    @classmethod
    def of(cls, latent: Tensor, label: Tensor, regularisation: float) -> "Learned":
        """Least squares of one-hot classes on standardised latents, with `regularisation` times ||W||^2 an image."""
        mean, scale = latent.mean(0), latent.std(0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)
        standard, target = (latent - mean) / scale, one_hot(label).double()
        share = target.mean(0)
        ridge = regularisation * len(latent) * torch.eye(latent.shape[1], dtype=torch.float64)
        weight = torch.linalg.solve(standard.T @ standard + ridge, standard.T @ (target - share))
        return cls(latent, label, weight, mean, scale, share)

    def linear(self, latent: Tensor) -> Tensor:
        """The classes (B,) of latents (B, D) by the regression."""
        return ((latent - self.mean) / self.scale @ self.weight + self.share).argmax(1)

    def nearest(self, latent: Tensor) -> Tensor:
        """The classes (B,) of the nearest labelled latents."""
        return torch.cat([self.label[torch.cdist(rows, self.latent).argmin(1)] for rows in latent.split(_ROWS)])


class LinearProbe(OfEncoder):
    """`linear_probe` and `neighbour_probe`: the share of held-out images whose class is told by their latent.

    By ridge regression of the classes on the standardised latents of labelled images, in closed form, and by the class
    of the nearest of these latents. The latent of an image is the encoder's mean; nothing is random. The detail
    `pixels` is what the same probe makes of the images themselves, up to 4,096 numbers: what was known without any
    encoder. Traps: a latent with more units knows more without being better; no value tells how well images are drawn.

    References: Donahue, Kraehenbuehl and Darrell, "Adversarial Feature Learning" (2017), Table 1, for the nearest
    neighbour; Donahue and Simonyan, "Large Scale Adversarial Representation Learning" (2019), section 4, for the
    linear classifier, there on the features under the latent.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from: whose classes are asked for.
        learn_from: The split whose labels are known.
        num: Images of it that are used at most, drawn at random in the shares of the classes; None for all.
        regularisation: Factor of the ridge, above 0.

    Raises:
        ValueError: a split is unknown or both are one; `num` is below 2, or `regularisation` not above 0.
    """

    values: ClassVar[dict[str, Better]] = {"linear_probe": "higher", "neighbour_probe": "higher"}

    def __init__(
        self, split: str = "val", learn_from: str = "train", num: int | None = 10_000, regularisation: float = 1e-3
    ) -> None:
        self.split, self.learn_from = require_split(split), require_split(learn_from)
        if split == learn_from:
            raise ValueError(f"learn_from must be another split than the one that is asked for, got {learn_from!r}")
        if num is not None and num < 2:
            raise ValueError(f"num must be at least 2 images, got {num}")
        if not regularisation > 0:
            raise ValueError(f"regularisation must be above 0, got {regularisation}")
        self.num, self.regularisation = num, regularisation
        self._learned: tuple[Learned, Learned | None] | None = None

    @torch.no_grad()
    def learned(self, model: LatentEncoder, batches: Iterable[Batch], seed: int) -> Self:
        """The same measure once it has learned from labelled images."""
        latent, image, label = _encoded(model, batches, seed)[:3]
        made = copy(self)
        of_pixels = None if image is None else Learned.of(image, label, self.regularisation)
        made._learned = Learned.of(latent, label, self.regularisation), of_pixels
        return made

    @torch.no_grad()
    def compute(self, model: LatentEncoder, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both shares, with the interval of other held-out images.

        Raises:
            RuntimeError: nothing was learned before.
        """
        if self._learned is None:
            raise RuntimeError("LinearProbe must have learned before it computes")
        latent, image, label, group = _encoded(model, batches, seed)
        known, of_pixels = self._learned
        found = {}
        for name, classes in (("linear_probe", Learned.linear), ("neighbour_probe", Learned.nearest)):
            right = (classes(known, latent) == label).double()
            value = mean_over_images(right, group, limits=SHARE)
            if of_pixels is not None:
                value = replace(value, details={"pixels": float((classes(of_pixels, image) == label).double().mean())})
            found[name] = value
        return found


def _encoded(model: LatentEncoder, batches: Iterable[Batch], seed: int) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Latents (N, D) and, unless they are too many, pixels (N, P) in float64, classes (N,) and groups (N,) of a set, on
    the CPU."""
    labels: list[Tensor] = []
    pixels: list[Tensor] = []

    def measure(batch: Batch, noise: object) -> Tensor:
        labels.append(batch["label"].cpu())
        image = batch["image"].flatten(1)
        if image.shape[1] <= _PIXELS:
            pixels.append(image.double().cpu())
        return model.encode(batch["image"]).flatten(1).double()

    latent, group, _ = over_images(batches, seed, measure)
    return latent, torch.cat(pixels) if pixels else None, torch.cat(labels), group
