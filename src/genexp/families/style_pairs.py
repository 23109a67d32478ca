"""What families of style transfer share: their pictures, their frozen encoder, and what they are measured with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.contracts import Batch
from genexp.families.base import Family
from genexp.losses.style_objective import StyleObjective


def yardstick(objective: StyleObjective, layers: Sequence[str]) -> tuple[str, str, str]:
    """What `objective.distances` of these layers measure with: style loss and layers, the encoder, and its digest."""
    return (
        f"{objective.style_loss}, layers {' '.join(layers)}",
        type(objective.features).__name__,
        objective.features.digest,
    )


def require_pair(batch: Batch) -> None:
    """Refuse data without a content and a style image.

    Raises:
        ValueError: one of the two is missing.
    """
    if "content" not in batch or "style" not in batch:
        raise ValueError(f"data must give content and style images (data=content_style), got {', '.join(batch)}")


class OnePicture:
    """Pictures that are the same in all batches, held against the first where batches come from.

    That is on the host: on a card every batch would wait for the comparison.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] = {}

    def same(self, batch: Batch, names: Collection[str]) -> bool:
        """Whether the pictures (B, 3, H, W) of these names are there, and each the first that was given under its."""
        pictures = {name: batch[name] for name in names if name in batch}
        self._first = self._first or {name: value[:1].clone() for name, value in pictures.items()}
        return self._first.keys() == pictures.keys() and all(
            value.shape[1:] == self._first[name].shape[1:] and bool((value == self._first[name]).all())
            for name, value in pictures.items()
        )


def require_same_encoder(features: nn.Module, digest: str) -> None:
    """Refuse to continue a run with other encoder weights than `digest` names.

    Raises:
        ValueError: the digests differ.
    """
    if features.digest != digest:
        raise ValueError(
            f"model.features must be the ones of the checkpoint, {digest[:12]}, got {features.digest[:12]}"
        )


def keep_frozen_on_every_rank(family: Family) -> None:
    """Spare distributed training the broadcast of the frozen encoder, which every rank builds alike, in each batch."""
    frozen = [f"objective.features.{name}" for name, _ in family.objective.features.named_buffers()]
    family._ddp_params_and_buffers_to_ignore = frozen  # the name that DistributedDataParallel reads


def fit(images: Tensor, like: Tensor) -> Tensor:
    """`images` (B, 3, h, w) resized to the height and width of `like`."""
    if images.shape[-2:] == like.shape[-2:]:
        return images
    return functional.interpolate(images, like.shape[-2:], mode="bilinear", antialias=True)


def scaled(images: Tensor, scale: float) -> Tensor:
    """`images` (B, 3, H, W) with sides of `scale` times as many pixels, at least 1."""
    if scale == 1:
        return images
    height, width = (max(1, round(side * scale)) for side in images.shape[-2:])
    return functional.interpolate(images, (height, width), mode="bilinear", antialias=True)


def shares_of(given: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """How much each of `count` styles counts; together 1.

    Raises:
        ValueError: there is another number of them, or one is not above 0.
    """
    shares = [1.0] * count if given is None else list(given)
    if len(shares) != count or not all(share > 0 for share in shares):
        raise ValueError(f"style_shares must be {count} numbers above 0, one a style, got {shares}")
    return tuple(share / sum(shares) for share in shares)


def shapes_of(content: Sequence[int], styles: Sequence[Sequence[int]], guided: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the images that are kept: content and styles, and their masks."""
    shapes = {"content": tuple(content)}
    names = ["style", *(f"style_{number}" for number in range(2, len(styles) + 1))]
    shapes |= {name: tuple(shape) for name, shape in zip(names, styles, strict=True)}
    if guided:
        shapes["content_guides"] = (len(styles), *content[1:])
        shapes |= {f"{name}_guide": (1, *shape[1:]) for name, shape in zip(names, styles, strict=True)}
    return shapes


@dataclass(frozen=True)
class Pyramid:
    """Which scale a picture is optimised at, by step: some below 1 first, then 1 to the end.

    Args:
        scales: Those below 1, in rising order.
        steps: Steps at each of them.

    Raises:
        ValueError: the scales do not rise between 0 and 1, or there is no step.
    """

    scales: tuple[float, ...] = ()
    steps: int = 25

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise((0.0, *self.scales, 1.0))):
            raise ValueError(f"pyramid must be rising scales between 0 and 1, got {list(self.scales)}")
        if self.steps < 1:
            raise ValueError(f"pyramid_steps must be at least 1, got {self.steps}")

    def scale(self, step: int) -> float:
        """The scale of a step, counted from 0."""
        stage = step // self.steps
        return self.scales[stage] if stage < len(self.scales) else 1.0

    def changes(self, step: int) -> bool:
        """Whether a step is the first one at its scale and not the first of all."""
        return step > 0 and self.scale(step) != self.scale(step - 1)


PARTS = ("content", "style", "result")


def rows(content: Tensor, *others: Tensor) -> tuple[Tensor, int]:
    """One grid row for `content` (B, 3, H, W) and one for each of `others`, resized to it, and the grid's columns."""
    return torch.cat([content, *(fit(images, content) for images in others)]), len(content)
