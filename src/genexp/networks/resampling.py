"""Doubling and halving of images by a filter that lets no frequencies through which the smaller image cannot hold."""

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Filter(nn.Module):
    """The filter (1, 3, 3, 1) / 8 along either axis, which doubles an image by bilinear interpolation.

    Beyond its border an image is 0.

    References: Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019); in GANs Karras et al., "A
    Style-Based Generator Architecture for Generative Adversarial Networks" (2019).
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", taps[:, None] * taps, persistent=False)

    def blur(self, image: Tensor, padding: int, gain: float = 1.0) -> Tensor:
        """Images (B, C, H, W), `gain` times filtered, to (B, C, H + 2 padding - 3, W + 2 padding - 3)."""
        return F.conv2d(image, self._weight(image, gain), padding=padding, groups=image.shape[1])

    def double(self, image: Tensor) -> Tensor:
        """Images (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return F.conv_transpose2d(image, self._weight(image, 4.0), stride=2, padding=1, groups=image.shape[1])

    def halve(self, image: Tensor) -> Tensor:
        """Images (B, C, H, W) of even sides to (B, C, H / 2, W / 2)."""
        return F.conv2d(image, self._weight(image, 1.0), stride=2, padding=1, groups=image.shape[1])

    def _weight(self, image: Tensor, gain: float) -> Tensor:
        return (gain * self.kernel).to(image.dtype).expand(image.shape[1], 1, -1, -1)


def widths_by_size(image_size: int, width: int, widest: int) -> dict[int, int]:
    """Channels at every size from 4 to `image_size`: `width` at that, twice as many at every half, at most `widest`.

    Raises:
        ValueError: `image_size` is no power of two from 8 to 128, or a width is below 1.
    """
    if image_size not in (8, 16, 32, 64, 128):
        raise ValueError(f"image_size must be a power of two from 8 to 128, got {image_size}")
    for name, value in (("width", width), ("widest", widest)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    sizes = (4 * 2**i for i in range(int(log2(image_size)) - 1))
    return {size: min(width * image_size // size, widest) for size in sizes}
