"""Feed-forward style transfer: feature maps of a content and of a style in, an image out."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


def adain(content: Tensor, style: Tensor, eps: float = 1e-5) -> Tensor:
    """Adaptive instance normalisation: the content's maps with the channel means and deviations of the style's.

    AdaIN(c, s) = std(s) (c - mean(c)) / std(c) + mean(s), with std = sqrt(biased variance + eps).

    Reference: Huang and Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization" (2017).

    Args:
        content: Feature maps (B, C, H, W), down to 1 x 1.
        style: Feature maps (B, C, h, w).
        eps: Added to both variances, so that a constant channel stays finite and AdaIN(x, x) = x.

    Returns:
        Feature maps (B, C, H, W).
    """
    return restyled(content, statistics(style), eps=eps)


def statistics(features: Tensor) -> Tensor:
    """What AdaIN takes of a style: biased variances and means (B, 2, C) of the channels of maps (B, C, H, W)."""
    return torch.stack(torch.var_mean(features, dim=(2, 3), correction=0), dim=1)


def restyled(content: Tensor, style: Tensor, where: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """AdaIN of content maps with the statistics of a style.

    Args:
        content: Feature maps (B, C, H, W).
        style: `statistics` (B, 2, C), or (1, 2, C) for all.
        where: Region (B, 1, H, W) in [0, 1] whose own statistics the content's are; None for the whole map.
        eps: Added to both variances.

    Returns:
        Feature maps (B, C, H, W), of all positions.
    """
    style_variance, style_mean = style[..., None, None].unbind(1)
    if where is None:
        variance, mean = torch.var_mean(content, dim=(2, 3), correction=0, keepdim=True)
    else:
        share = where / where.sum((2, 3), keepdim=True).clamp(min=1e-6)
        mean = (share * content).sum((2, 3), keepdim=True)
        variance = (share * (content - mean).square()).sum((2, 3), keepdim=True)
    return (content - mean) * ((style_variance + eps) / (variance + eps)).sqrt() + style_mean


class AdaINStylizer(nn.Module):
    """AdaIN on encoder features, then a decoder that mirrors the encoder back to an image.

    The decoder upsamples to the nearest pixel and pads by reflection, which leaves no checkerboard and no border, and
    has no normalisation layers: those would bring every image back to one style.

    Reference: Huang and Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization" (2017).

    Args:
        channels: Width of every resolution, from the features' own down to full size.
        convolutions: Number of 3 x 3 convolutions at every resolution. The defaults mirror VGG-19 up to relu4_1.
    """

    any_style: ClassVar[bool] = True

    def __init__(
        self, channels: Sequence[int] = (512, 256, 128, 64), convolutions: Sequence[int] = (1, 4, 2, 2)
    ) -> None:
        super().__init__()
        if len(channels) != len(convolutions) or min(convolutions, default=0) < 1:
            raise ValueError(
                f"convolutions must name at least 1 for each of the {len(channels)} channels, got {list(convolutions)}"
            )
        layers: list[nn.Module] = []
        for width, following, count in zip(channels, [*channels[1:], 3], convolutions, strict=True):
            for i in range(count):
                out = following if i == count - 1 else width
                layers += [nn.Conv2d(width, out, 3, padding=1, padding_mode="reflect"), nn.ReLU()]
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        self.decoder = nn.Sequential(*layers[:-2])  # the image is neither rectified nor upsampled

    def transfer(self, content: Tensor, style: Tensor) -> Tensor:
        """The target features: those of the content (B, C, H, W) in the style of `style` (B, C, h, w)."""
        return adain(content, style)

    def describe(self, features: Tensor) -> Tensor:
        """What is kept of a style: the statistics (B, 2, C) of its features (B, C, h, w)."""
        return statistics(features)

    def blend(
        self, content: Tensor, styles: Sequence[Tensor], weights: Sequence[float], masks: Sequence[Tensor] = ()
    ) -> Tensor:
        """The target features of several styles at once.

        Without masks they are the mean of the targets of each style by `weights`. With masks every region is given its
        style by statistics of its own, as Huang and Belongie do in section 7.3; what no mask shows stays as it is, and
        where masks overlap they share a position.

        Args:
            content: Features (B, C, H, W) of the content.
            styles: Descriptions (1, 2, C) of K styles.
            weights: K numbers that sum to 1; unused with masks.
            masks: None, or K masks (1, 1, h, w) in [0, 1], which are brought to the features by means over cells.
        """
        if not masks:
            targets = [
                weight * restyled(content, style) for style, weight in zip(styles, weights, strict=True) if weight
            ]
            return sum(targets[1:], start=targets[0])
        areas = [functional.adaptive_avg_pool2d(mask, content.shape[-2:]) for mask in masks]
        covered = sum(areas[1:], start=areas[0])
        target = (1 - covered).clamp(min=0) * content
        for style, area in zip(styles, areas, strict=True):
            target = target + area / covered.clamp(min=1) * restyled(content, style, area)
        return target

    def forward(self, features: Tensor) -> Tensor:
        """Decode features (B, C, H, W) to images (B, 3, 2^k H, 2^k W) around [-1, 1]; k is one less than the levels."""
        return self.decoder(features)
