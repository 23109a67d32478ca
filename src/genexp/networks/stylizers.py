"""Feed-forward style transfer: feature maps of a content and of a style in, an image out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
    content_variance, content_mean = torch.var_mean(content, dim=(2, 3), correction=0, keepdim=True)
    style_variance, style_mean = torch.var_mean(style, dim=(2, 3), correction=0, keepdim=True)
    scale = ((style_variance + eps) / (content_variance + eps)).sqrt()
    return (content - content_mean) * scale + style_mean


class AdaINStylizer(nn.Module):
    """AdaIN on encoder features, then a decoder that mirrors the encoder back to an image.

    The decoder upsamples to the nearest pixel and pads by reflection, which leaves no checkerboard and no border, and
    has no normalisation layers: those would bring every image back to one style.

    Reference: Huang and Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization" (2017).

    Args:
        channels: Width of every resolution, from the features' own down to full size.
        convolutions: Number of 3 x 3 convolutions at every resolution. The defaults mirror VGG-19 up to relu4_1.
    """

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

    def forward(self, features: Tensor) -> Tensor:
        """Decode features (B, C, H, W) to images (B, 3, 2^k H, 2^k W) around [-1, 1]; k is one less than the levels."""
        return self.decoder(features)
