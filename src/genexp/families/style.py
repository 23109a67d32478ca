"""Style transfer by image optimisation: the pixels of one picture are the parameters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.families.style_pairs import (
    OnePicture,
    Pyramid,
    fit,
    keep_frozen_on_every_rank,
    require_pair,
    require_same_encoder,
    rows,
    scaled,
    shapes_of,
    shares_of,
    yardstick,
)
from genexp.files.trees import State
from genexp.losses.style import StyleLoss
from genexp.losses.style_objective import Style, StyleObjective, StyleTerm
from genexp.ramps import Constant, Ramp
from genexp.tensors import Grid, IndexedNoise, mix_seed


class StyleOptimisation(Family):
    """Optimise one picture towards the features of a content image and the feature statistics of style images.

    Every training batch is the same set of images and one optimiser step; L-BFGS takes `max_iter=1`, so that one batch
    is one iteration. The first batch fixes the images, which are kept in the checkpoint: a resumed run recomputes its
    targets from them. After a step of any other optimiser the pixels are clamped to [-1, 1]; L-BFGS is left alone,
    since clamping would falsify its curvature, and its picture is clamped when rendered.

    A batch has `content` and `style`, further styles `style_2`, `style_3`, ..., and where `guided` a mask a style:
    `content_guides` (1, K, H, W) of the parts of the picture that shall have the K styles, and `style_guide`,
    `style_2_guide`, ... (1, 1, h, w) of the parts of the style images that are read; masks lie in [0, 1].

    With a `pyramid` the loss first sees the picture made smaller, coarsest first, with targets of images of that scale:
    what a scale cannot see stays as it is. At every change L-BFGS forgets its curvature, which was of another function.

    References: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016); Gatys,
    Ecker, Bethge, Hertzmann and Shechtman, "Controlling Perceptual Factors in Neural Style Transfer" (2017).

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
        extra_terms: Further style terms by name.
        more_style_shapes: (3, h, w) of every further style image.
        style_shares: How much every style counts, in any unit; None for all alike.
        guided: Whether every style has masks.
        pyramid: Scales below 1 that are optimised first, in rising order.
        pyramid_steps: Steps at each of them.

    Raises:
        ValueError: an argument is out of range.
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
        extra_terms: Mapping[str, StyleTerm] | None = None,
        more_style_shapes: Sequence[Sequence[int]] = (),
        style_shares: Sequence[float] | None = None,
        guided: bool = False,
        pyramid: Sequence[float] = (),
        pyramid_steps: int = 25,
    ) -> None:
        super().__init__()
        if init not in ("content", "style", "noise"):
            raise ValueError(f"init must be content, style or noise, got {init}")
        weights = (content_weight, style_weight, tv_weight, range_weight)
        self.objective = StyleObjective(features, style_loss, content_layers, style_layers, *weights, extra_terms)
        self.init = init
        self.measured_layers = tuple(style_layers if measured_layers is None else measured_layers)
        self.image = nn.Parameter(torch.zeros(*image_shape))
        self.kept = shapes_of(image_shape, (style_shape, *more_style_shapes), guided)
        for name, shape in self.kept.items():
            self.register_buffer(name, torch.zeros(1, *shape))
        self.styles = [name for name in self.kept if name.startswith("style") and not name.endswith("_guide")]
        self.shares, self.guided = shares_of(style_shares, len(self.styles)), guided
        self.pyramid = Pyramid(tuple(pyramid), pyramid_steps)
        self.evaluations = 0
        self._given = OnePicture()
        self._targets: tuple[float, dict[str, Tensor], list[Style]] | None = None
        keep_frozen_on_every_rank(self)
        self.register_update("image", Update(optimizer, lambda: [self.image], learning_rate))

    def train_batch(self, batch: Batch) -> Terms:
        """One optimiser step on the pixels; `train/evaluations` counts the forward and backward passes it took."""
        require_pair(batch)
        if self.batches == 0:
            self._begin(batch)
        elif self._targets is None:  # later batches were compared on the host
            self._require_same_pictures(batch)
        optimizer = self.optimizer("image").optimizer
        if self._targets is None or self.pyramid.changes(self.batches):
            self._targets = self._described(self.pyramid.scale(self.batches))
        if self.pyramid.changes(self.batches) and isinstance(optimizer, torch.optim.LBFGS):
            optimizer.state.clear()
        before = self.evaluations
        terms = self.update("image", {"content": self.content}, self._evaluate)
        if not isinstance(optimizer, torch.optim.LBFGS):
            with torch.no_grad():
                self.image.clamp_(-1, 1)
        terms |= {"evaluations": torch.tensor(float(self.evaluations - before), device=self.device)}
        return {f"train/{name}": value for name, value in terms.items()}

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Hold the pictures of a training batch against those of the first."""
        if self.trainer.training:
            self._require_same(self._given.same(batch, self.kept) or self.batches == 0)
        return batch

    def require_same_start(self, batch: Batch) -> None:
        """Refuse to go on with another pair than the one that the picture is made of.

        Raises:
            ValueError: the pair in `batch` is another.
        """
        require_pair(batch)
        self._require_same_pictures(batch)

    def validate_batch(self, batch: Batch) -> Terms:
        """How far the picture is from the pair that it is made of, on a scale without weights; `batch` is not used."""
        return {
            f"val/{name}": value.mean()
            for name, value in self.distances(self.render({"content": self.content})).items()
        }

    def distances(self, images: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """`content_distance` and `style_distance` (B,) of `images` from the kept images; `batch` is not used.

        Of several styles it is the mean by their shares, of whole pictures, whatever the masks are.
        """
        each = [
            self.objective.distances(
                self.measured_layers, images, *(one.expand(len(images), -1, -1, -1) for one in pair)
            )
            for pair in ((self.content, self.get_buffer(name)) for name in self.styles)
        ]
        if len(each) == 1:
            return each[0]
        style = sum(share * found["style_distance"] for share, found in zip(self.shares, each, strict=True))
        return {"content_distance": each[0]["content_distance"], "style_distance": style}

    def yardstick(self) -> tuple[str, str, str]:
        """What `distances` measure with."""
        return yardstick(self.objective, self.measured_layers)

    def render(self, batch: Batch) -> Tensor:
        """The picture as it stands (B, 3, H, W) in [-1, 1], once for every sample of `batch`."""
        return self.image.clamp(-1, 1).expand(len(batch["content"]), -1, -1, -1)

    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """One row: the content, the styles and the picture as it stands."""
        styles = (self.get_buffer(name) for name in self.styles)
        shown, _ = rows(self.content, *styles, self.render({"content": self.content}))
        return {"transfer": Grid(shown, len(shown), ("content", *self.styles, "result"))}

    def on_save_checkpoint(self, checkpoint: State) -> None:
        """Add the number of evaluations and the digest of the encoder, whose weights stay outside."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["encoder"] = self.objective.features.digest
        checkpoint["evaluations"] = self.evaluations

    def on_load_checkpoint(self, checkpoint: State) -> None:
        """Restore the number of evaluations; the encoder must be the one the run began with."""
        super().on_load_checkpoint(checkpoint)
        require_same_encoder(self.objective.features, checkpoint["encoder"])
        self.evaluations = checkpoint["evaluations"]
        self._targets = None

    def _begin(self, batch: Batch) -> None:
        for name in self.kept:
            kept = self.get_buffer(name)
            found = tuple(batch[name].shape) if name in batch else "nothing"
            if found != tuple(kept.shape):
                raise ValueError(f"{name} must be one image of shape {tuple(kept.shape)}, got {found}")
            kept.copy_(batch[name])
        if self.init == "noise":
            generator = torch.Generator().manual_seed(mix_seed(self.seed))  # the same picture on every rank
            shape = scaled(self.content[:, :1], self.pyramid.scale(0)).shape[-2:]
            start = fit(torch.randn(1, 3, *shape, generator=generator) * 0.5, self.content)
        else:
            start = fit(self.style, self.content) if self.init == "style" else self.content
        with torch.no_grad():
            self.image.copy_(start[0])

    @torch.no_grad()
    def _described(self, scale: float) -> tuple[float, dict[str, Tensor], list[Style]]:
        content = scaled(self.content, scale)
        styles = []
        for number, (name, share) in enumerate(zip(self.styles, self.shares, strict=True)):
            guide = self.get_buffer(f"{name}_guide")[0, 0] if self.guided else None
            style = self.objective.style_of(scaled(self.get_buffer(name), scale), share, guide)
            if self.guided:
                where = self.objective.positions(content, self.content_guides[0, number])
                style = replace(style, where=where)
            styles.append(style)
        return scale, self.objective.content_of(content), styles

    def _require_same_pictures(self, batch: Batch) -> None:
        found = (name in batch and torch.equal(batch[name], self.get_buffer(name)) for name in self.kept)
        self._require_same(all(found))

    def _require_same(self, same: bool) -> None:
        if not same:
            raise ValueError(
                f"content and style must be the same two images throughout, got others at batch {self.batches}: "
                "use data of one pair, without random crops or flips"
            )

    def _evaluate(self, batch: Batch) -> Terms:
        self.evaluations += 1
        scale, content, styles = self._targets
        found = self.objective(scaled(self.image[None], scale), content, *styles)
        return {name: value.mean() for name, value in found.items()}
