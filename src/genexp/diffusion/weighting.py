"""How much an error in the clean image counts, as a function of the signal-to-noise ratio SNR = alpha^2 / sigma^2.

A weight is always stated for the squared error of the clean image, whatever the network predicts, so a weighting and a
prediction can be chosen apart from each other: squared errors of noise, velocity and clean image are related by
|eps error|^2 = SNR |x error|^2 and |v error|^2 = (SNR + 1) |x error|^2.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from genexp.diffusion.prediction import require_positive


class Weighting(Protocol):
    """Weights (B,) of the squared error of the clean image from signal-to-noise ratios (B,)."""

    def __call__(self, snr: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class UniformEpsilon:
    """SNR: every time counts the same in the squared error of the noise, the `simple` loss.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equation 14.
    """

    def __call__(self, snr: Tensor) -> Tensor:
        return snr


@dataclass(frozen=True)
class UniformSample:
    """1: every time counts the same in the squared error of the clean image."""

    def __call__(self, snr: Tensor) -> Tensor:
        return torch.ones_like(snr)


@dataclass(frozen=True)
class UniformVelocity:
    """SNR + 1: every time counts the same in the squared error of the velocity.

    Reference: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022).
    """

    def __call__(self, snr: Tensor) -> Tensor:
        return snr + 1


@dataclass(frozen=True)
class UniformFlow:
    """(sqrt(SNR) + 1)^2: every time counts the same in the squared error of eps - x.

    Reference: Lipman et al., "Flow Matching for Generative Modeling" (2023), equation 9.
    """

    def __call__(self, snr: Tensor) -> Tensor:
        return (snr.sqrt() + 1).square()


@dataclass(frozen=True)
class TruncatedSNR:
    """max(SNR, 1): as `UniformEpsilon`, but noisy times keep the weight of the clean image.

    Reference: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022).
    """

    def __call__(self, snr: Tensor) -> Tensor:
        return snr.clamp(min=1)


@dataclass(frozen=True)
class MinSNR:
    """min(SNR, gamma): as `UniformEpsilon`, but nearly clean times count no more than `gamma`.

    Reference: Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy" (2023).

    Args:
        gamma: Largest weight, positive.

    Raises:
        ValueError: `gamma` is not positive.
    """

    gamma: float = 5.0

    def __post_init__(self) -> None:
        if self.gamma <= 0:
            raise ValueError(f"gamma must be positive, got {self.gamma}")

    def __call__(self, snr: Tensor) -> Tensor:
        return snr.clamp(max=self.gamma)


@dataclass(frozen=True)
class P2:
    """SNR / (k + SNR)^gamma: as `UniformEpsilon`, with less weight on the times that are nearly clean.

    Reference: Choi et al., "Perception Prioritized Training of Diffusion Models" (2022), equation 8.

    Args:
        gamma: How much less, at least 0; 0 is `UniformEpsilon`.
        k: Above 0; the least ratio that counts less.

    Raises:
        ValueError: an argument lies outside its range.
    """

    gamma: float = 1.0
    k: float = 1.0

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"gamma must be at least 0, got {self.gamma}")
        if not self.k > 0:
            raise ValueError(f"k must be above 0, got {self.k}")

    def __call__(self, snr: Tensor) -> Tensor:
        return snr / (self.k + snr) ** self.gamma


@dataclass(frozen=True)
class UniformPreconditioned:
    """SNR + 1 / d^2: every time counts the same in the squared error of the network of `Preconditioned`.

    With alpha = 1 it is (sigma^2 + d^2) / (sigma d)^2.

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), table 1.

    Args:
        data_std: Standard deviation d of the data, above 0.

    Raises:
        ValueError: `data_std` is not above 0.
    """

    data_std: float = 0.5

    def __post_init__(self) -> None:
        require_positive("data_std", self.data_std)

    def __call__(self, snr: Tensor) -> Tensor:
        return snr + 1 / self.data_std**2
