"""Style transfer by image optimisation: the pixels of one picture are the parameters."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.losses.style import StyleLoss, StyleObjective
from genexp.ramps import Constant, Ramp
from genexp.tensors import Grid, IndexedNoise, mix_seed


class StyleOptimisation(Family):
    """Optimise one picture towards the features of a content image and the feature statistics of a style image.

    Every training batch is the same pair of images and one optimiser step; L-BFGS takes `max_iter=1`, so that one batch
    is one iteration. The first batch fixes the pair, which is kept in the checkpoint: a resumed run recomputes its
    targets from it. After a step of any other optimiser the pixels are clamped to [-1, 1]; L-BFGS is left alone, since
    clamping would falsify its curvature, and its picture is clamped when rendered.

    Reference: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016).

    Args:
        features: Frozen encoder: (images, layers) to feature maps by layer; `digest` identifies its weights.
        style_loss: The style loss of one layer.
        optimizer: Builds the optimiser of the pixels.
        image_shape: (3, H, W) of the content image and of the result.
        style_shape: (3, h, w) of the style image.
        content_layers: Layers whose features the result shares with the content image.
        style_layers: Layers whose statistics the result shares with the style image.
        content_weight: Weight of the content term, a sum over layers.
        style_weight: Weight of the style term, a sum over layers.
        tv_weight: Weight of the total variation of the result.
        range_weight: Weight of the mean squared overshoot of pixels beyond [-1, 1].
        init: What the picture starts from: "content", "style" (resized) or "noise" (standard deviation 0.5).
        measured_layers: Layers of `val/content_distance` and `val/style_distance`, see `StyleObjective.distances`; None
            for `style_layers`. Pictures compare where encoder, style loss and these layers are the same.
        learning_rate: Factor on the optimiser's learning rate over images seen (here: steps).
    """

    averaged_modules = ()

    def __init__(
        self,
        features: nn.Module,
        style_loss: StyleLoss,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        image_shape: Sequence[int],
        style_shape: Sequence[int],
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        tv_weight: float = 0.0,
        range_weight: float = 0.0,
        init: str = "content",
        measured_layers: Sequence[str] | None = None,
        learning_rate: Ramp = Constant(),
    ) -> None:
        super().__init__()
        if init not in ("content", "style", "noise"):
            raise ValueError(f"init must be content, style or noise, got {init}")
        self.objective = StyleObjective(
            features, style_loss, content_layers, style_layers, content_weight, style_weight, tv_weight, range_weight
        )
        self.init = init
        self.measured_layers = tuple(style_layers if measured_layers is None else measured_layers)
        self.image = nn.Parameter(torch.zeros(*image_shape))
        self.register_buffer("content", torch.zeros(1, *image_shape))
        self.register_buffer("style", torch.zeros(1, *style_shape))
        self.evaluations = 0
        self._targets: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None
        keep_frozen_on_every_rank(self)
        self.register_update("image", Update(optimizer, lambda: [self.image], learning_rate))

    def train_batch(self, batch: Batch) -> Terms:
        """One optimiser step on the pixels; `train/evaluations` counts the forward and backward passes it took."""
        require_pair(batch)
        if self.batches == 0:
            self._begin(batch)
        else:
            self._require_same_pair(batch)
        if self._targets is None:
            with torch.no_grad():
                self._targets = self.objective.content_of(self.content), self.objective.style_of(self.style)
        before = self.evaluations
        terms = self.update("image", {"content": self.content}, self._evaluate)
        if not isinstance(self.optimizer("image").optimizer, torch.optim.LBFGS):
            with torch.no_grad():
                self.image.clamp_(-1, 1)
        terms |= {"evaluations": torch.tensor(float(self.evaluations - before), device=self.device)}
        return {f"train/{name}": value for name, value in terms.items()}

    def require_same_start(self, batch: Batch) -> None:
        """Refuse to go on with another pair than the one that the picture is made of.

        Raises:
            ValueError: the pair in `batch` is another.
        """
        require_pair(batch)
        self._require_same_pair(batch)

    def validate_batch(self, batch: Batch) -> Terms:
        """How far the picture is from the pair that it is made of, on a scale without weights; `batch` is not used."""
        return {f"val/{name}": value.mean() for name, value in self.distances(self.render(_one(self.content))).items()}

    def distances(self, images: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """`content_distance` and `style_distance` (B,) of `images` from the pair; `batch` is not used."""
        pair = (each.expand(len(images), -1, -1, -1) for each in (self.content, self.style))
        return self.objective.distances(self.measured_layers, images, *pair)

    def yardstick(self) -> tuple[str, str, str]:
        """What `distances` measure with."""
        return yardstick(self.objective, self.measured_layers)

    def render(self, batch: Batch) -> Tensor:
        """The picture as it stands (B, 3, H, W) in [-1, 1], once for every sample of `batch`."""
        return self.image.clamp(-1, 1).expand(len(batch["content"]), -1, -1, -1)

    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """One row: the content, the style and the picture as it stands."""
        shown, _ = rows(self.content, self.style, self.render(_one(self.content)))
        return {"transfer": Grid(shown, len(shown), PARTS)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the number of evaluations and the digest of the encoder, whose weights stay outside."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["encoder"] = self.objective.features.digest
        checkpoint["evaluations"] = self.evaluations

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the number of evaluations; the encoder must be the one the run began with."""
        super().on_load_checkpoint(checkpoint)
        require_same_encoder(self.objective.features, checkpoint["encoder"])
        self.evaluations = checkpoint["evaluations"]
        self._targets = None

    def _begin(self, batch: Batch) -> None:
        for name, kept in (("content", self.content), ("style", self.style)):
            if batch[name].shape != kept.shape:
                raise ValueError(
                    f"{name} must be one image of shape {tuple(kept.shape)}, got {tuple(batch[name].shape)}"
                )
            kept.copy_(batch[name])
        if self.init == "noise":
            generator = torch.Generator().manual_seed(mix_seed(self.seed))  # the same picture on every rank
            start = torch.randn(1, *self.image.shape, generator=generator) * 0.5
        else:
            start = fit(self.style, self.content) if self.init == "style" else self.content
        with torch.no_grad():
            self.image.copy_(start[0])

    def _require_same_pair(self, batch: Batch) -> None:
        if not (torch.equal(batch["content"], self.content) and torch.equal(batch["style"], self.style)):
            raise ValueError(
                f"content and style must be the same two images throughout, got others at batch {self.batches}: "
                "use data of one pair, without random crops or flips"
            )

    def _evaluate(self, batch: Batch) -> Terms:
        self.evaluations += 1
        content, style = self._targets
        return {name: value.mean() for name, value in self.objective(self.image[None], content, style).items()}


def _one(content: Tensor) -> Batch:
    return {"content": content}


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


PARTS = ("content", "style", "result")


def rows(content: Tensor, *others: Tensor) -> tuple[Tensor, int]:
    """One grid row for `content` (B, 3, H, W) and one for each of `others`, resized to it, and the grid's columns."""
    return torch.cat([content, *(fit(images, content) for images in others)]), len(content)
