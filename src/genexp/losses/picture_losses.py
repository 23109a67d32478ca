"""How far restored images are from the real ones: losses (B,) that add up, each with its weight."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class PictureLoss(Protocol):
    """A loss of images (B, C, H, W) in [-1, 1] against real ones of the same shape, and its weight."""

    @property
    def weight(self) -> float: ...

    def __call__(self, image: Tensor, real: Tensor) -> Tensor:
        """Losses (B,), without the weight."""
        ...


@dataclass(frozen=True)
class _Pixels:
    """A mean over channels and pixels.

    Args:
        weight: Factor in the sum of losses, at least 0.

    Raises:
        ValueError: `weight` is negative.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"weight must be at least 0, got {self.weight}")


class Absolute(_Pixels):
    """L1: the mean absolute difference. Its best image is the median of those that a picture may stand for."""

    def __call__(self, image: Tensor, real: Tensor) -> Tensor:
        """Losses (B,)."""
        return (image.float() - real.float()).abs().flatten(1).mean(1)


class Squared(_Pixels):
    """L2: the mean squared difference. Its best image is their mean, and has the highest PSNR."""

    def __call__(self, image: Tensor, real: Tensor) -> Tensor:
        """Losses (B,)."""
        return (image.float() - real.float()).square().flatten(1).mean(1)


@dataclass(frozen=True)
class Charbonnier(_Pixels):
    """The mean of sqrt(d^2 + eps^2) - eps over differences d: L2 below eps, L1 above it.

    Reference: Lai, Huang, Ahuja and Yang, "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution"
    (2017), section 3.3, there without the constant that makes it 0 for equal images.

    Args:
        weight: Factor in the sum of losses, at least 0.
        eps: Where it turns from L2 into L1, above 0.

    Raises:
        ValueError: an argument is out of range.
    """

    eps: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.eps > 0:
            raise ValueError(f"eps must be above 0, got {self.eps}")

    def __call__(self, image: Tensor, real: Tensor) -> Tensor:
        """Losses (B,)."""
        difference = image.float() - real.float()
        return ((difference.square() + self.eps**2).sqrt() - self.eps).flatten(1).mean(1)
