"""The power spectrum of an image by spatial frequency alone, as features."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from genexp.tensors import require_image_shape

ROUNDING = (2 / 255) ** 2 / 12
"""Power of the rounding to 256 levels in [-1, 1]: what keeps the logarithm finite on empty images."""


class RadialSpectrum:
    r"""The power of an image's spatial frequencies in decibels, averaged over directions and channels; no network.

    Bin r holds the mean of |F(u, v)|^2 / (H W) over all frequencies with round(n sqrt((u/H)^2 + (v/W)^2)) = r, n the
    shorter side; the corners beyond the Nyquist frequency of one axis are included, since they show checkerboards. Mean
    brightness (r = 0) is left out. White noise of variance s^2 has s^2 in every bin. Borders that do not continue
    on the other side leak into all bins, on both sides of a comparison alike.

    Reference: Durall, Keuper and Keuper, "Watch your Up-Convolution: CNN Based Generative Deep Neural Networks are
    Failing to Reproduce Spectral Distributions" (2020).

    Args:
        shape: Shape [C, H, W] of the images.
    """

    name = "radial_spectrum"
    image_size = None
    resize = "none"

    def __init__(self, shape: Sequence[int]) -> None:
        if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 2:
            raise ValueError(f"shape must be [channels, height, width] of at least 2 x 2 pixels, got {list(shape)}")
        self.shape = tuple(int(side) for side in shape)
        height, width = self.shape[1:]
        vertical, horizontal = torch.fft.fftfreq(height).double(), torch.fft.fftfreq(width).double()
        radius = (min(height, width) * torch.hypot(vertical[:, None], horizontal[None])).round().long().flatten()
        present, self._bin = radius.unique(return_inverse=True)
        self._size = torch.bincount(self._bin)
        self.radii = present[1:].tolist()
        self.dimensions = len(self.radii)
        self.digest = hashlib.sha256(f"radial spectrum {self.shape}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """Power in decibels (B, bins) of images (B, C, H, W), from the lowest frequency on.

        Raises:
            ValueError: the images have another shape.
        """
        require_image_shape(image, self.shape)
        transform = torch.fft.fft2(image.float(), norm="ortho")
        power = transform.abs().square().mean(1).flatten(1)
        sums = power.new_zeros(len(power), self.dimensions + 1).index_add_(1, self._bin.to(power.device), power)
        return 10 * (sums / self._size.to(power.device) + ROUNDING).log10()[:, 1:]
