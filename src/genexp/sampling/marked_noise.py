"""A watermark in the noise that a diffusion begins with: the low frequencies of its spectrum.

Reference: Wen et al., "Tree-Rings Watermarks: Invisible Fingerprints for Diffusion Images" (2023), sections 3.2 to 3.4,
whose key `Rand` this is: a value for every frequency. One value a ring would survive turning, but of small images a
handful of rings cannot tell one key from another.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.tensors import IndexedNoise


@dataclass(frozen=True)
class MarkedNoise:
    """Noise whose low frequencies are fixed by a key, in the mean of the channels.

    The spectrum is that of the Hartley transform, real and orthonormal: of standard normal noise its coefficients are
    independent and standard normal, as are the fixed values over keys. The mean of the noise stays as it is.

    Args:
        key: Any text that is not empty.
        radius: Distance from 0 of the highest frequency, as a share of the side.

    Raises:
        ValueError: the key is empty.
    """

    key: str
    radius: float = 0.375

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("watermark must be a key of at least one character, got none")

    def onto(self, noise: Tensor) -> Tensor:
        """Standard normal noise (B, C, H, W) with the mark in it; its higher frequencies stay as they are."""
        chosen, values = self._values(noise.shape[-2:])
        change = torch.where(chosen.to(noise.device), values.to(noise.device) - _hartley(_mean(noise)), 0)
        return noise + (_hartley(change) / noise.shape[1] ** 0.5)[:, None].to(noise)

    def p_values(self, noise: Tensor) -> Tensor:
        """The share of keys that the noise (B, C, H, W) of a picture agrees with as well by chance, float64 (B,).

        The values of a key are normal and independent, so they point anywhere: for any picture that does not know the
        key, the cosine r between n coefficients and the values makes r sqrt((n - 1) / (1 - r^2)) Student's t with
        n - 1 degrees of freedom.
        """
        from scipy.stats import t

        chosen, values = self._values(noise.shape[-2:])
        found, wanted = _hartley(_mean(noise.cpu()))[:, chosen], values[chosen]
        r = (found @ wanted / (found.norm(dim=1) * wanted.norm()).clamp(min=1e-12)).clamp(-1 + 1e-12, 1 - 1e-12)
        free = len(wanted) - 1
        return torch.from_numpy(t.sf((r * (free / (1 - r**2)).sqrt()).numpy(), free))

    def _values(self, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Which coefficients (H, W) are fixed, and what to, float64."""
        down, across = (torch.fft.fftfreq(side, 1 / side, dtype=torch.float64) for side in size)
        distance = (down[:, None] ** 2 + across**2).sqrt().round()
        digest = hashlib.sha256(f"noise {self.key}".encode()).digest()
        values = IndexedNoise(int.from_bytes(digest[:8]) >> 1, [0]).normal(*size)[0].double()
        return (distance > 0) & (distance <= max(1, round(self.radius * min(size)))), values


def _mean(noise: Tensor) -> Tensor:
    """The mean of the channels at unit variance, float64 (B, H, W)."""
    return noise.double().sum(1) / noise.shape[1] ** 0.5


def _hartley(values: Tensor) -> Tensor:
    """The orthonormal Hartley transform over the last two axes, its own inverse."""
    spectrum = torch.fft.fft2(values, norm="ortho")
    return spectrum.real - spectrum.imag
