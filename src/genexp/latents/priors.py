"""Distributions p(z) of latents before an image is seen: those that a model draws from."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from genexp.contracts import Noise
from genexp.latents.posteriors import LatentLaw, Posterior

Encode = Callable[[Tensor], LatentLaw]
"""The posterior of images (B, ...) as the model's encoder sees them, told nothing else."""


class Prior(ABC):
    """A density of latents. One with weights of its own is a `torch.nn.Module` too.

    Args:
        latent_size: Units D of the latent.
    """

    kind: str = "normal"
    """What latents it is of, as `Posterior.prior` names them."""

    fixed: ClassVar[bool] = False
    """Whether it is the one that the closed form of a posterior's divergence is to."""

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size

    def require(self, posterior: Posterior) -> None:
        """Check that it is of a posterior's latents.

        Raises:
            ValueError: it is of others.
        """
        if self.kind != posterior.prior:
            rule = f"of {posterior.prior} latents as posterior {type(posterior).__name__}"
            raise ValueError(f"prior must be {rule}, got {type(self).__name__} of {self.kind} ones")

    @abstractmethod
    def log_prob(self, latent: Tensor, encode: Encode) -> Tensor:
        """Nats (B,) of latents (B, D)."""

    @abstractmethod
    def draw(self, noise: Noise, encode: Encode) -> Tensor:
        """Latents (B, D), each made of its own row of the noise."""


class StandardNormal(Prior):
    """N(0, I), which nothing in training moves."""

    fixed = True

    def log_prob(self, latent: Tensor, encode: Encode) -> Tensor:
        """-(z^2 + log 2 pi) / 2, summed over units."""
        return -((latent.square() + math.log(2 * math.pi)) / 2).sum(1)

    def draw(self, noise: Noise, encode: Encode) -> Tensor:
        """The noise itself."""
        return noise.normal(self.latent_size)
