"""Style transfer by a network in a single pass: one for any style, or one a style."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.families.style_pairs import (
    PARTS,
    OnePicture,
    keep_frozen_on_every_rank,
    require_pair,
    require_same_encoder,
    rows,
    yardstick,
)
from genexp.files.trees import State
from genexp.losses.style import StyleLoss
from genexp.losses.style_objective import Style, StyleObjective
from genexp.ramps import Constant, Ramp
from genexp.tensors import Grid, IndexedNoise


class StyleNetwork(Family):
    """Train a network that paints, on the loss by which pixels are optimised.

    A stylizer of `any_style` gives the features of a content image the statistics of a style and decodes them. Its
    content target is its own target t = AdaIN(F(content), F(style)), not the content image's features: the decoder
    learns to invert the encoder at t, and the style term asks for the style's statistics at every layer.

    Any other paints pictures in one style, that of the style image, which is the same in all batches. Its content
    target are the features of the content image; it has no strength to be set, so `alpha` is 1.

    References: Huang and Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization" (2017);
    Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (2016).

    Args:
        features: Frozen encoder: (images, layers) to feature maps by layer; `digest` identifies its weights.
        stylizer: Of `any_style`: `transfer(content_features, style_features)` gives the target, calling it decodes
            features to images. Else calling it paints images.
        style_loss: The style loss of one layer.
        optimizer: Builds the optimiser of the stylizer.
        layer: The encoder layer of the content term, which a stylizer of any style decodes.
        style_layers: Layers whose statistics the result shares with the style image.
        content_weight: Weight of the content term.
        style_weight: Weight of the style term, a sum over layers.
        tv_weight: Weight of the total variation of the result.
        range_weight: Weight of the mean squared overshoot of pixels beyond [-1, 1].
        alpha: Strength of the style in rendered images: 0 reconstructs the content, 1 is full style.
        measured_layers: Layers of `val/content_distance` and `val/style_distance`, see `StyleObjective.distances`; None
            for `style_layers`.
        learning_rate: Factor on the optimiser's learning rate over images seen.
        clip: Largest gradient norm, or None.
    """

    averaged_modules = ("stylizer",)

    def __init__(
        self,
        features: nn.Module,
        stylizer: nn.Module,
        style_loss: StyleLoss,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        layer: str,
        style_layers: Sequence[str],
        content_weight: float = 1.0,
        style_weight: float = 10.0,
        tv_weight: float = 0.0,
        range_weight: float = 0.0,
        alpha: float = 1.0,
        measured_layers: Sequence[str] | None = None,
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        if alpha != 1 and not stylizer.any_style:
            raise ValueError(f"alpha must be 1 for a stylizer of one style, got {alpha}")
        self.objective = StyleObjective(
            features, style_loss, [layer], style_layers, content_weight, style_weight, tv_weight, range_weight
        )
        self.stylizer = stylizer
        self.any_style, self.layer, self.alpha = stylizer.any_style, layer, alpha
        self._given = OnePicture()
        self._only_style: tuple[Tensor, Style] | None = None
        self.measured_layers = tuple(style_layers if measured_layers is None else measured_layers)
        keep_frozen_on_every_rank(self)
        self.register_update(
            "stylizer", Update(optimizer, lambda: list(self.stylizer.parameters()), learning_rate, clip)
        )

    def train_batch(self, batch: Batch) -> Terms:
        """One step of the stylizer on pairs of `content` and `style`."""
        terms = self.update("stylizer", batch, self._evaluate)
        return {f"train/{name}": value for name, value in terms.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """The same terms on held-out pairs at full strength, and the distances of what is rendered."""
        distances = {name: value.mean() for name, value in self.distances(self.render(batch), batch).items()}
        return {f"val/{name}": value for name, value in (self._evaluate(batch) | distances).items()}

    def distances(self, images: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`content_distance` and `style_distance` (B,) of images (B, 3, H, W) rendered from the pairs of `batch`."""
        height, width = images.shape[-2:]
        content = batch["content"][..., :height, :width]
        return self.objective.distances(self.measured_layers, images, content, batch["style"])

    def yardstick(self) -> tuple[str, str, str]:
        """What `distances` measure with."""
        return yardstick(self.objective, self.measured_layers)

    def render(self, batch: Batch) -> Tensor:
        """The contents in their styles (B, 3, H, W) in [-1, 1]; sides are cut to multiples of the encoder's stride."""
        return self.stylize(batch["content"], batch["style"], self.alpha)

    def stylize(self, content: Tensor, style: Tensor, alpha: float) -> Tensor:
        """`content` (B, 3, H, W) in the style of `style` (B, 3, h, w), with the strength `alpha` of [0, 1].

        Raises:
            ValueError: `alpha` is not 1 where the stylizer has one style, which needs no `style`.
        """
        if not self.any_style:
            return self.painted(content, (), (), alpha=alpha)
        features, target = self._target(content, style)
        return self.stylizer(torch.lerp(features, target, alpha)).clamp(-1, 1)

    def described(self, style: Tensor) -> Tensor:
        """What `painted` takes of styles (B, 3, h, w) of any kind, so that each is encoded once for many contents."""
        with torch.no_grad():
            return self.stylizer.describe(self.objective.content_of(style)[self.layer])

    def painted(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        weights: Sequence[float],
        masks: Sequence[Tensor] = (),
        alpha: float = 1.0,
    ) -> Tensor:
        """Contents (B, 3, H, W) in several styles at once, in [-1, 1].

        Args:
            content: The contents.
            styles: What `described` says of one image each; none for a stylizer of one style.
            weights: How much of each; they sum to 1.
            masks: Where each is, (1, 1, H, W) in [0, 1]; none for all everywhere.
            alpha: Strength of the styles in [0, 1].

        Raises:
            ValueError: `alpha` is not 1 where the stylizer has one style.
        """
        if not self.any_style:
            if alpha != 1:
                raise ValueError(f"alpha must be 1 for a stylizer of one style, got {alpha}")
            return self.stylizer(content).clamp(-1, 1)
        with torch.no_grad():
            features = self.objective.content_of(content)[self.layer]
            target = self.stylizer.blend(features, styles, weights, masks)
        return self.stylizer(torch.lerp(features, target, alpha)).clamp(-1, 1)

    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Contents, styles and results in rows; and the first pairs with the strength going from 0 to 1."""
        content, style = batch["content"][:8], batch["style"][:8]
        images, columns = rows(content, style, self.stylize(content, style, self.alpha))
        transfer = Grid(images, columns, [f"pair {i}" for i in range(columns)], PARTS)
        if not self.any_style:
            return {"transfer": transfer}
        strengths = (0.0, 0.25, 0.5, 0.75, 1.0)
        sweep = torch.stack([self.stylize(content[:4], style[:4], alpha) for alpha in strengths], dim=1)
        words = [f"strength {alpha:g}" for alpha in strengths], [f"pair {i}" for i in range(len(sweep))]
        return {
            "transfer": transfer,
            "strength": Grid(sweep.flatten(0, 1), len(strengths), *words),
        }

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Hold the style of a training batch against that of the first, for a stylizer of one style."""
        if self.trainer.training and not self.any_style and "style" in batch:
            _require_one_style(self._given.same(batch, ["style"]))
        return batch

    def on_save_checkpoint(self, checkpoint: State) -> None:
        """Add the digest of the encoder, whose weights stay outside."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["encoder"] = self.objective.features.digest

    def on_load_checkpoint(self, checkpoint: State) -> None:
        """Restore the counters; the encoder must be the one the run began with."""
        super().on_load_checkpoint(checkpoint)
        require_same_encoder(self.objective.features, checkpoint["encoder"])

    def _target(self, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            features = self.objective.content_of(content)[self.layer]
            return features, self.stylizer.transfer(features, self.objective.content_of(style)[self.layer])

    def _evaluate(self, batch: Batch) -> Terms:
        require_pair(batch)
        if not self.any_style:
            return self._evaluate_one_style(batch["content"], batch["style"])
        with torch.no_grad():
            features = self.objective.content_of(batch["content"])[self.layer]
            styled, style = self.objective.both_of(batch["style"])
            target = self.stylizer.transfer(features, styled[self.layer])
        terms = self.objective(self.stylizer(target), {self.layer: target}, style)
        return {name: value.mean() for name, value in terms.items()}

    def _evaluate_one_style(self, content: Tensor, style: Tensor) -> Terms:
        described = self._described_only(style)
        with torch.no_grad():
            kept = self.objective.content_of(content)
        terms = self.objective(self.stylizer(content), kept, described)
        return {name: value.mean() for name, value in terms.items()}

    def _described_only(self, style: Tensor) -> Style:
        """The description of the one style (B, 3, h, w), which is read once.

        Raises:
            ValueError: a style is another than that of the first batch.
        """
        first_seen = self._only_style is None
        if first_seen:
            with torch.inference_mode(False), torch.no_grad():  # the first batch may be one of validation
                first = style[:1].clone()
                self._only_style = first, self.objective.style_of(first)
        only, described = self._only_style
        if first_seen or not self.training:  # batches of training are compared on the host
            _require_one_style(only.shape == style[:1].shape and bool((style == only).all()))
        return described


def _require_one_style(is_one: bool) -> None:
    if not is_one:
        raise ValueError(
            "style must be one picture, the same in all batches, for a stylizer of one style: use data=one_style, "
            "and one picture in data.source.style.root"
        )
