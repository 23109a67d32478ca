"""How far an image is from another's content and from another's style, read from feature maps, and from a natural one.

Every loss is per sample, shape (B,), and a mean over positions, so that it does not grow with the image.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor


class StyleLoss(Protocol):
    """A style loss of one layer: a description of the style that forgets positions, and a distance between two.

    Attributes:
        neighbours: Whether it reads which positions are side by side; else any set of positions will do.
    """

    neighbours: ClassVar[bool]

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
            The paper's term is a quarter of that with "spatial"; its authors' notebook has 1000 times that with
            "elements", which Johnson, Alahi and Fei-Fei (2016) have without a factor.
    """

    neighbours: ClassVar[bool] = False
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

    neighbours: ClassVar[bool] = False
    eps: float = 1e-5

    def describe(self, features: Tensor) -> Tensor:
        """Channel means and biased standard deviations (B, 2, C) of feature maps (B, C, H, W)."""
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0)
        return torch.stack([mean, (variance + self.eps).sqrt()], dim=1)

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of the statistics of `features` (B, C, H, W) from `target` (B, 2, C)."""
        return (self.describe(features) - target).square().sum(1).mean(1)


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
