"""Where an image changes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from genexp.conditioning.chance import Chance


@dataclass(frozen=True)
class Edges:
    """The steepness of every pixel, of the channel where it is largest: one channel, from -1 on even ground to 1.

    It is the length of Sobel's gradient, in which an edge between black and white has the length 1, times `gain`.

    Reference: Sobel and Feldman, "A 3x3 Isotropic Gradient Operator for Image Processing" (1968).

    Args:
        gain: Above 0; with 2, edges of half the contrast are as bright as they become.

    Raises:
        ValueError: `gain` is not above 0.
    """

    gain: float = 2.0

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise ValueError(f"gain must be above 0, got {self.gain}")

    def __call__(self, image: Tensor, chance: Chance | None = None) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to edges (B, 1, H, W) in [-1, 1]."""
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=image.device) / 8
        kernels = torch.stack([across, across.T])[:, None].to(image.dtype)
        channels = F.pad(image.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
        steepness = F.conv2d(channels, kernels).square().sum(1).sqrt().unflatten(0, image.shape[:2])
        return (self.gain * steepness.amax(1, keepdim=True)).clamp(0, 1).mul(2).sub(1)
