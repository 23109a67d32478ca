"""The loss of a picture that takes its content from one image and its style from others: weighted, named terms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.losses.style import StyleLoss, content_loss, overshoot, total_variation


@dataclass(frozen=True)
class StyleTerm:
    """A style term beside the main one: a loss of its own, in layers of its own.

    Args:
        loss: The style loss of one layer.
        layers: Layers whose style is compared; the term is the sum over them.
        weight: Weight of the term, at least 0.

    Raises:
        ValueError: `weight` is negative.
    """

    loss: StyleLoss
    layers: Sequence[str]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight must be at least 0, got {self.weight}")


@dataclass(frozen=True)
class Style:
    """A style as an objective reads it.

    Attributes:
        described: Descriptions by the name of the term and the layer.
        share: Factor on all style terms of this style.
        where: Positions of the result's maps, flat and by layer, that shall have this style; None for all.
    """

    described: dict[tuple[str, str], Tensor]
    share: float = 1.0
    where: dict[str, Tensor] | None = None

    def over(self, features: Tensor, layer: str) -> Tensor:
        """The part of feature maps (B, C, H, W) of a layer that shall have this style, as maps (B, C, N, 1)."""
        return features if self.where is None else at(features, self.where[layer])


def at(features: Tensor, where: Tensor) -> Tensor:
    """Feature maps (B, C, H, W) at flat positions (N,): (B, C, N, 1)."""
    return features.flatten(2)[..., where][..., None]


class StyleObjective(nn.Module):
    """The weighted sum of a content, a style, a total-variation and a range term of an image, and of further styles.

        loss = content_weight sum_l content_l + style_weight sum_l style_l + tv_weight TV + range_weight overshoot
               + sum_t weight_t sum_l style_tl

    Reference: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016).

    Args:
        features: Frozen encoder: (images, layers) to feature maps by layer.
        style_loss: The style loss of one layer.
        content_layers: Layers whose features are compared position by position.
        style_layers: Layers whose style is compared.
        content_weight: Weight of the content term, at least 0.
        style_weight: Weight of the style term, at least 0.
        tv_weight: Weight of the total variation, at least 0.
        range_weight: Weight of the overshoot beyond [-1, 1], at least 0.
        extra_terms: Further style terms by name.

    Raises:
        ValueError: a weight is negative, all are 0, or a term has the name of another.
    """

    def __init__(
        self,
        features: nn.Module,
        style_loss: StyleLoss,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        tv_weight: float = 0.0,
        range_weight: float = 0.0,
        extra_terms: Mapping[str, StyleTerm] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.style_loss = style_loss
        self.content_layers, self.style_layers = tuple(content_layers), tuple(style_layers)
        self.weights = {"content": content_weight, "style": style_weight, "tv": tv_weight, "range": range_weight}
        for name, weight in self.weights.items():
            if weight < 0:
                raise ValueError(f"{name}_weight must be at least 0, got {weight}")
        self.styles = {"style": StyleTerm(style_loss, self.style_layers, style_weight)}
        for name, term in (extra_terms or {}).items():
            if name in (*self.weights, "loss", "evaluations"):
                raise ValueError(f"extra_terms must not be named as another term, got {name}")
            self.styles[name], self.weights[name] = term, term.weight
        if not any(self.weights.values()):
            raise ValueError(f"{', '.join(self.weights)} weights must not all be 0")
        self._all_style_layers = list(dict.fromkeys(layer for term in self.styles.values() for layer in term.layers))

    def content_of(self, image: Tensor) -> dict[str, Tensor]:
        """The features of the content layers of `image` (B, 3, H, W), by layer."""
        return self.features(image, self.content_layers)

    def style_of(self, image: Tensor, share: float = 1.0, guide: Tensor | None = None) -> Style:
        """The style of `image` (B, 3, H, W), or of that part of it which a mask shows.

        Args:
            image: The style image.
            share: Factor on its style terms.
            guide: Mask (H, W) in [0, 1] of the part of the image that is read, see `positions`.
        """
        features = self.features(image, self._all_style_layers)
        if guide is not None:
            self._require_sets_of_positions()
            features = {layer: at(maps, seen(guide, maps, layer)) for layer, maps in features.items()}
        return self._described(features, share)

    def both_of(self, image: Tensor) -> tuple[dict[str, Tensor], Style]:
        """What `content_of` and `style_of` say of `image` (B, 3, H, W), by one pass through the encoder."""
        features = self.features(image, list(dict.fromkeys((*self.content_layers, *self._all_style_layers))))
        return {layer: features[layer] for layer in self.content_layers}, self._described(features)

    def positions(self, image: Tensor, guide: Tensor) -> dict[str, Tensor]:
        """Positions of the maps of an image (1, 3, H, W) that a mask (H, W) in [0, 1] shows, flat, by style layer.

        A position is shown where the mean of the mask over its cell, as if cells tiled the image, is at least a half.

        Reference: Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer" (2017), guides that are
        scaled down to the maps and cut to 0 and 1.

        Raises:
            ValueError: the mask shows nothing of a map, or a style loss reads which positions are side by side.
        """
        self._require_sets_of_positions()
        return {layer: seen(guide, maps, layer) for layer, maps in self.features(image, self._all_style_layers).items()}

    def _require_sets_of_positions(self) -> None:
        for term in self.styles.values():
            if term.loss.neighbours:
                raise ValueError(f"a mask needs style losses that take any set of positions, got {term.loss}")

    def _described(self, features: dict[str, Tensor], share: float = 1.0) -> Style:
        parts = [(name, term.loss, layer) for name, term in self.styles.items() for layer in term.layers]
        return Style({(name, layer): loss.describe(features[layer]) for name, loss, layer in parts}, share)

    def distances(self, layers: Sequence[str], image: Tensor, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """How far images are from their content and from their style: means over `layers`, each on a scale of its own.

        `content_distance` is the squared difference of the features in units of their variance over the positions of
        the content image: 0 for the content image, 1 for maps that have nothing but its channel means.
        `style_distance` is the style loss in units of that of an image without features: 0 for an image with the
        style's own description. No weight enters, so images made with different weights compare.

        Args:
            layers: Layers of the encoder.
            image: The images (B, 3, H, W) that are judged.
            content: Their content images of the same shape.
            style: Their style images (B, 3, h, w).

        Returns:
            `content_distance` and `style_distance`, each (B,).
        """
        found, kept, wanted = (self.features(each, layers) for each in (image, content, style))
        terms: dict[str, list[Tensor]] = {"content_distance": [], "style_distance": []}
        for layer in layers:
            spread = kept[layer].float().var((2, 3), correction=0).mean(1)
            target = self.style_loss.describe(wanted[layer])
            terms["content_distance"].append(content_loss(found[layer], kept[layer]) / spread.clamp(min=_TINY))
            whole = self.style_loss(torch.zeros_like(wanted[layer]), target).clamp(min=_TINY)
            terms["style_distance"].append(self.style_loss(found[layer], target) / whole)
        return {name: torch.stack(values).mean(0) for name, values in terms.items()}

    def forward(self, image: Tensor, content: dict[str, Tensor], *styles: Style) -> dict[str, Tensor]:
        """Per-sample terms (B,) `content`, `style`, `tv`, `range`, the extra ones, and their weighted sum `loss`.

        Args:
            image: The images (B, 3, H, W) that are judged.
            content: Target features by content layer.
            styles: Target styles; a style term is the sum over them of their shares of it.
        """
        found = self.features(image, list(dict.fromkeys((*content, *self._all_style_layers))))
        terms = {
            "content": sum(content_loss(found[layer], target) for layer, target in content.items()),
            "style": self._style_term("style", found, styles),
            "tv": self._of_pixels("tv", total_variation, image),
            "range": self._of_pixels("range", overshoot, image),
        }
        terms |= {name: self._style_term(name, found, styles) for name in self.styles if name != "style"}
        return terms | {"loss": sum(weight * terms[name] for name, weight in self.weights.items() if weight)}

    def _of_pixels(self, name: str, term: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.weights[name] != 0):
            return term(image)

    def _style_term(self, name: str, found: dict[str, Tensor], styles: Sequence[Style]) -> Tensor:
        loss, layers = self.styles[name].loss, self.styles[name].layers
        terms = []
        for style in styles:
            term = sum(loss(style.over(found[layer], layer), style.described[name, layer]) for layer in layers)
            terms.append(term if style.share == 1 else style.share * term)
        return sum(terms[1:], start=terms[0])


def seen(guide: Tensor, maps: Tensor, layer: str) -> Tensor:
    """Flat positions (N,) of maps (B, C, H, W) of `layer` over which a mask (h, w) in [0, 1] is at least a half.

    Raises:
        ValueError: there is none.
    """
    where = (functional.adaptive_avg_pool2d(guide[None], maps.shape[-2:]) >= 0.5).flatten().nonzero()[:, 0]
    if not len(where):
        raise ValueError(f"a mask must show some of the picture at {layer}, got one that shows none of its positions")
    return where


_TINY = 1e-12
