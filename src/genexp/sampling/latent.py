"""Sampling in one pass: a latent of the prior through a decoder."""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import LatentDecoder, Noise, Progress
from genexp.tensors import IndexedNoise

Decode = Callable[[Tensor, Condition], Tensor]


@runtime_checkable
class LatentPrior(LatentDecoder, Protocol):
    """A latent decoder that says itself how latents are distributed before an image is seen."""

    @property
    def standard_normal(self) -> bool:
        """Whether they are N(0, I)."""
        ...

    def prior_latents(self, noise: Noise) -> Tensor:
        """Latents (B, *latent_shape), each made of its own row of `noise`."""
        ...


class Latent:
    """z ~ N(0, I), image = decode(z); optionally z is drawn from the normal distribution cut off at +-`truncation`.

    Of a model that says itself how its latents are distributed (`LatentPrior`) they are drawn from that.
    The cut normal is reached by its quantiles, z -> Q(P(z)), so every sample still follows smoothly from one latent.

    References: the truncation trick of Brock et al., "Large Scale GAN Training for High Fidelity Natural Image
    Synthesis" (2019), there by drawing again; the temperature of Kingma and Dhariwal, "Glow" (2018), section 6.

    Args:
        truncation: Largest absolute value of a latent's entries, or None for the whole normal distribution.
        temperature: Standard deviation of the latents, None for 1; below 1 images are more likely and more alike.

    Raises:
        ValueError: `truncation` or `temperature` is not positive.
    """

    def __init__(self, truncation: float | None = None, temperature: float | None = None) -> None:
        if truncation is not None and truncation <= 0:
            raise ValueError(f"truncation must be positive or null, got {truncation}")
        if temperature is not None and temperature <= 0:
            raise ValueError(f"temperature must be positive or null, got {temperature}")
        self.truncation, self.temperature = truncation, temperature

    def require(self, model: object) -> None:
        """Check that the model decodes latents.

        Raises:
            TypeError: it does not.
            ValueError: latents that are not normal are to be cut off or drawn together.
        """
        if not isinstance(model, LatentDecoder):
            raise TypeError(f"{type(self).__name__} draws from a LatentDecoder, got {type(model).__name__}")
        if isinstance(model, LatentPrior) and not model.standard_normal:
            for name, value in (("truncation", self.truncation), ("temperature", self.temperature)):
                if value is not None:
                    raise ValueError(f"{name} must be null for latents that are not N(0, I), got {value:g}")

    @torch.no_grad()
    def start(self, model: LatentDecoder, noise: IndexedNoise) -> Tensor:
        """Latents (B, *latent_shape) of the prior, not truncated.

        Raises:
            TypeError: `model` is not a latent decoder.
        """
        self.require(model)
        return model.prior_latents(noise) if isinstance(model, LatentPrior) else noise.normal(*model.latent_shape)

    @torch.no_grad()
    def run(
        self,
        model: LatentDecoder,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) decoded from the latents `start`."""
        latent = start if self.truncation is None else truncate(start, self.truncation)
        latent = latent if self.temperature is None else latent * self.temperature
        return decoded(self.decoder(model), latent, condition, progress)

    def decoder(self, model: LatentDecoder) -> Decode:
        """What makes images of latents and a condition: the model itself."""
        return model.decode


def decoded(decode: Decode, latent: Tensor, condition: Condition, progress: Progress | None) -> Tensor:
    """Images (B, C, H, W) of latents (B, *latent_shape), the only step that there is."""
    images = decode(latent, condition)
    if progress is not None:
        progress(1, 1)
    return images


def truncate(latent: Tensor, bound: float) -> Tensor:
    """Map standard normal values, one by one and in order, to the normal distribution restricted to [-bound, bound]."""
    outside = 0.5 * math.erfc(bound / math.sqrt(2))
    share = torch.special.ndtr(latent.double())
    return torch.special.ndtri(outside + (1 - 2 * outside) * share).clamp(-bound, bound).to(latent.dtype)
