"""What can be taken away from images (B, C, H, W) in [-1, 1], so that a model learns to give it back."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genexp.conditioning.bicubic import resized
from genexp.conditioning.chance import Chance

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, by ITU-R BT.601."""


class Degradation(Protocol):
    """What is taken away from images; all that is random in it comes from `chance`."""

    def __call__(self, image: Tensor, chance: Chance) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to pictures (B, C', H', W')."""
        ...


@dataclass(frozen=True)
class _Smaller:
    """What makes images a whole number of times smaller.

    Args:
        factor: How many times, at least 2; divides the sides of an image.

    Raises:
        ValueError: `factor` is below 2, or when called does not divide.
    """

    factor: int = 2

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"factor must be at least 2, got {self.factor}")

    def __call__(self, image: Tensor, chance: Chance | None = None) -> Tensor:
        """Images (B, C, H, W) to (B, C, H / factor, W / factor)."""
        height, width = image.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ValueError(f"factor must divide the sides of an image, {height} and {width}, got {self.factor}")
        return self._shrunk(image)

    @abstractmethod
    def _shrunk(self, image: Tensor) -> Tensor: ...


class Downscaled(_Smaller):
    """Means over squares of `factor` times `factor` pixels.

    Args:
        factor: Side of a square, at least 2; divides the sides of an image.

    Raises:
        ValueError: `factor` is below 2, or when called does not divide.
    """

    def _shrunk(self, image: Tensor) -> Tensor:
        return F.avg_pool2d(image, self.factor)


class Bicubic(_Smaller):
    """Smaller by Matlab's antialiased bicubic filter, which the tables of super-resolution begin with.

    Values may overshoot.

    Args:
        factor: How many times smaller, at least 2; divides the sides of an image.

    Raises:
        ValueError: `factor` is below 2, or when called does not divide.
    """

    def _shrunk(self, image: Tensor) -> Tensor:
        return resized(image, 1 / self.factor)


@dataclass(frozen=True)
class Noisy:
    """Gaussian noise on every value.

    Args:
        deviation: Standard deviation in levels of 8 bits, as papers give it (15, 25, 50), above 0.
        least: Smallest deviation where it is random, uniform from this to `deviation`; None where it is always the
            same. A network that is not told which it is learns all of them (blind denoising).

    Raises:
        ValueError: a deviation is out of range.
    """

    deviation: float = 25.0
    least: float | None = None

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise ValueError(f"deviation must be above 0 levels of 255, got {self.deviation}")
        if self.least is not None and not 0 <= self.least <= self.deviation:
            raise ValueError(f"least must lie in [0, deviation={self.deviation}] or be null, got {self.least}")

    def __call__(self, image: Tensor, chance: Chance) -> Tensor:
        """Images with noise, of any size."""
        level = self.deviation
        if self.least is not None:
            level = self.least + (self.deviation - self.least) * chance.uniform(1, 1, 1).to(image.dtype)
        return image + level / 127.5 * chance.normal(*image.shape[1:]).to(image.dtype)


@dataclass(frozen=True)
class Blurred:
    """A Gaussian blur; beyond its borders the image goes on as its mirror image.

    Args:
        deviation: Standard deviation of the Gaussian in pixels, above 0; it is cut off beyond three of them.

    Raises:
        ValueError: `deviation` is not above 0.
    """

    deviation: float = 1.6

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise ValueError(f"deviation must be above 0 pixels, got {self.deviation}")

    @property
    def weights(self) -> Tensor:
        """The weights (2 R + 1,) of a line."""
        reach = max(1, round(3 * self.deviation))
        place = torch.arange(-reach, reach + 1, dtype=torch.float64)
        line = (-(place**2) / (2 * self.deviation**2)).exp()
        return line / line.sum()

    def __call__(self, image: Tensor, chance: Chance | None = None) -> Tensor:
        """Blurred images of the same size.

        Raises:
            ValueError: an image is smaller than the Gaussian reaches.
        """
        line = self.weights.to(image)
        reach, channels = len(line) // 2, image.shape[1]
        if min(image.shape[-2:]) <= reach:
            raise ValueError(f"deviation must reach less than an image of {min(image.shape[-2:])} pixels, got {reach}")
        wide = F.pad(image, (reach,) * 4, mode="reflect")
        tall = F.conv2d(wide, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(tall, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


@dataclass(frozen=True)
class Masked:
    """A rectangle of an image is lost, and stands as mid-grey (0).

    Args:
        least: Smallest share of a side that the rectangle has, in (0, 1).
        most: Largest share, in [least, 1).

    Raises:
        ValueError: a share is out of range.
    """

    least: float = 0.25
    most: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most < 1:
            raise ValueError(f"least and most must satisfy 0 < least <= most < 1, got {self.least} and {self.most}")

    def __call__(self, image: Tensor, chance: Chance) -> Tensor:
        """Images of which height, width and place of the rectangle are random, each uniform."""
        draw = chance.uniform(4).to(image.device)
        inside = None
        for size, share, place, form in zip(image.shape[-2:], draw[:, :2].T, draw[:, 2:].T, ((-1, 1), (1, -1))):
            side = ((self.least + (self.most - self.least) * share) * size).round().clamp(1, size - 1)
            first = (place * (size - side + 1)).floor()
            line = torch.arange(size, device=image.device)
            within = ((line >= first[:, None]) & (line < (first + side)[:, None])).unflatten(1, form)
            inside = within if inside is None else inside & within
        return image.masked_fill(inside[:, None], 0.0)


@dataclass(frozen=True)
class Grey:
    """Colours are lost: the luma of ITU-R BT.601, one channel."""

    def __call__(self, image: Tensor, chance: Chance | None = None) -> Tensor:
        """Images (B, 3, H, W) to (B, 1, H, W).

        Raises:
            ValueError: images have no colours.
        """
        if image.shape[1] != 3:
            raise ValueError(f"images must have 3 channels to lose their colours, got {image.shape[1]}")
        return (image * torch.tensor(LUMA).to(image).view(3, 1, 1)).sum(1, keepdim=True)


@dataclass(frozen=True)
class Jpeg:
    """Written as JPEG and read again, on the CPU.

    Args:
        quality: Of the encoder, 1 to 100.

    Raises:
        ValueError: `quality` is out of range.
    """

    quality: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must lie in [1, 100], got {self.quality}")

    def __call__(self, image: Tensor, chance: Chance | None = None) -> Tensor:
        """Images as they come back, of the same size."""
        from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

        mode = ImageReadMode.GRAY if image.shape[1] == 1 else ImageReadMode.RGB
        levels = image.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()
        back = torch.stack([decode_jpeg(encode_jpeg(each, self.quality), mode) for each in levels])
        return back.to(image).div(127.5).sub(1)


@dataclass(frozen=True)
class OneAfterTheOther:
    """Several degradations in the order of their names' standing, as in blurred, then smaller, then noisy.

    Args:
        steps: The degradations, by any name.

    Raises:
        ValueError: there is none.
    """

    steps: Mapping[str, Degradation]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("steps must hold at least one degradation, got none")

    def __call__(self, image: Tensor, chance: Chance) -> Tensor:
        """Images that all of them have been at."""
        for step in self.steps.values():
            image = step(image, chance)
        return image
