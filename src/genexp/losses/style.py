"""How far an image is from another's content and from another's style, read from feature maps, and from a natural one.

Every loss is per sample, shape (B,), and a mean over positions, so that it does not grow with the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


class StyleLoss(Protocol):
    """A style loss of one layer: a description of the style that forgets positions, and a distance between two."""

    def describe(self, features: Tensor) -> Tensor:
        """Describe the style of feature maps (B, C, H, W) by one tensor a sample."""
        ...

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) between the style of `features` and the described style `target`."""
        ...


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two feature maps (B, C, H, W), per sample.

    Reference: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016).
    """
    return (features.float() - target.float()).square().flatten(1).mean(1)


@dataclass(frozen=True)
class GramLoss:
    """Mean squared difference of Gram matrices G = F F^T / n, with F the map as C rows of H W values.

    Reference: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016).

    Args:
        normalise: What n is. "spatial" divides by H W: the mean of the outer products of the feature vectors, whatever
            the picture's size. "elements" divides by C H W, which weighs a layer of C channels by 1 / C^2 in addition.
    """

    normalise: str = "spatial"

    def __post_init__(self) -> None:
        if self.normalise not in ("spatial", "elements"):
            raise ValueError(f"normalise must be spatial or elements, got {self.normalise}")

    def describe(self, features: Tensor) -> Tensor:
        """Gram matrices (B, C, C) of feature maps (B, C, H, W), in float32 under any autocast."""
        with torch.autocast(features.device.type, enabled=False):
            rows = features.float().flatten(2)
            gram = rows @ rows.transpose(1, 2)
        return gram / (rows.shape[2] if self.normalise == "spatial" else rows.shape[1] * rows.shape[2])

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of the Gram matrices of `features` (B, C, H, W) from `target` (B, C, C)."""
        return (self.describe(features) - target).square().flatten(1).mean(1)


@dataclass(frozen=True)
class StatisticsLoss:
    """Mean squared differences of channel means and of channel standard deviations, added.

    Reference: Huang and Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization" (2017).

    Args:
        eps: Added to the variance before its root, so that a constant channel has a gradient.
    """

    eps: float = 1e-5

    def describe(self, features: Tensor) -> Tensor:
        """Channel means and biased standard deviations (B, 2, C) of feature maps (B, C, H, W)."""
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0)
        return torch.stack([mean, (variance + self.eps).sqrt()], dim=1)

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of the statistics of `features` (B, C, H, W) from `target` (B, 2, C)."""
        return (self.describe(features) - target).square().sum(1).mean(1)


class StyleObjective(nn.Module):
    """The weighted sum of a content, a style, a total-variation and a range term of an image.

        loss = content_weight sum_l content_l + style_weight sum_l style_l + tv_weight TV + range_weight overshoot

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
    ) -> None:
        super().__init__()
        self.features = features
        self.style_loss = style_loss
        self.content_layers, self.style_layers = tuple(content_layers), tuple(style_layers)
        self.weights = {"content": content_weight, "style": style_weight, "tv": tv_weight, "range": range_weight}
        for name, weight in self.weights.items():
            if weight < 0:
                raise ValueError(f"{name}_weight must be at least 0, got {weight}")
        if not any(self.weights.values()):
            raise ValueError(f"{', '.join(self.weights)} weights must not all be 0")

    def content_of(self, image: Tensor) -> dict[str, Tensor]:
        """The features of the content layers of `image` (B, 3, H, W), by layer."""
        return self.features(image, self.content_layers)

    def style_of(self, image: Tensor) -> dict[str, Tensor]:
        """The described style of `image` (B, 3, H, W), by style layer."""
        return self._described(self.features(image, self.style_layers))

    def both_of(self, image: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What `content_of` and `style_of` say of `image` (B, 3, H, W), by one pass through the encoder."""
        features = self.features(image, list(dict.fromkeys((*self.content_layers, *self.style_layers))))
        return {layer: features[layer] for layer in self.content_layers}, self._described(features)

    def _described(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {layer: self.style_loss.describe(features[layer]) for layer in self.style_layers}

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

    def forward(self, image: Tensor, content: dict[str, Tensor], style: dict[str, Tensor]) -> dict[str, Tensor]:
        """Per-sample terms (B,) `content`, `style`, `tv`, `range` and their weighted sum `loss`.

        Args:
            image: The images (B, 3, H, W) that are judged.
            content: Target features by content layer.
            style: Target descriptions by style layer.
        """
        found = self.features(image, [*content, *style])
        terms = {
            "content": sum(content_loss(found[layer], target) for layer, target in content.items()),
            "style": sum(self.style_loss(found[layer], target) for layer, target in style.items()),
            "tv": total_variation(image),
            "range": overshoot(image),
        }
        return terms | {"loss": sum(weight * terms[name] for name, weight in self.weights.items() if weight)}


_TINY = 1e-12


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, down plus across, per sample (B,).

    Scaling the contrast scales it likewise; tiling or resizing a picture of constant slope per pixel leaves it.

    Reference: Rudin, Osher and Fatemi, "Nonlinear Total Variation Based Noise Removal Algorithms" (1992), anisotropic.
    """
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().flatten(1).mean(1)
    across = (image[..., :, 1:] - image[..., :, :-1]).abs().flatten(1).mean(1)
    return down + across


def overshoot(image: Tensor) -> Tensor:
    """Mean squared distance of the pixels from [-1, 1], per sample (B,).

    It keeps an image that is optimised without clamping in the range in which it will be shown.
    """
    return (image.abs() - 1).clamp(min=0).square().flatten(1).mean(1)
