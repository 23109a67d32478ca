"""What an encoder's numbers say of a latent: families of distributions q(z | x), one of which a model has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from genexp.contracts import Noise
from genexp.latents.gaussian import DiagonalGaussian


class LatentLaw(Protocol):
    """The distributions q(z | x) of the latents (B, D) of a batch, one a row."""

    @property
    def mean(self) -> Tensor:
        """The one latent (B, D) that stands for every row: the mean, or what the mean of the noise becomes."""
        ...

    def rsample(self, noise: Tensor) -> Tensor:
        """Latents (B, D) made of `noise`, as its `Posterior` draws it; differentiable in the parameters."""
        ...

    def sampled(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Such latents (B, D) with their log q(z | x) in nats (B,), differentiable through the latents too."""
        ...

    def kl(self) -> Tensor | None:
        """KL divergence (B,) to the prior that goes with the family, in closed form; None where there is none."""
        ...

    def kl_per_unit(self) -> Tensor | None:
        """The same of every unit (B, D), which add up to `kl`; None where units depend on each other."""
        ...


class Posterior(ABC):
    """How many numbers an encoder gives for a latent, and the distribution that they stand for.

    One with weights of its own is a `torch.nn.Module` too.

    Args:
        latent_size: Units D of the latent, at least 1.

    Raises:
        ValueError: `latent_size` is below 1.
    """

    prior: str = "normal"
    """The kind of prior whose support its latents have, see `Prior.kind`."""

    formula: ClassVar[str] = "2 * latent_size"
    """How many numbers an encoder gives, in words."""

    per_unit: ClassVar[bool] = True
    """Whether the divergence to a fixed prior is a sum over units in closed form."""

    explicit: ClassVar[bool] = True
    """Whether log q(z | x) is known of any z, not only of those drawn."""

    relaxed: ClassVar[bool] = False
    """Whether latents of training are near those that the model is of, which have no gradient themselves."""

    deterministic: ClassVar[bool] = False
    """Whether it is a single latent an image: then a model has no density, since log q is infinite."""

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        if latent_size < 1:
            raise ValueError(f"latent_size must be at least 1, got {latent_size}")
        self.latent_size = latent_size

    @property
    def numbers(self) -> int:
        """Numbers that an encoder gives for an image."""
        return 2 * self.latent_size

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise of one latent."""
        return (self.latent_size,)

    def draw(self, noise: Noise, count: int = 1) -> Tensor:
        """The noise of one latent an image (B, *noise_shape), or of several (B, count, *noise_shape)."""
        return noise.normal(*(self.noise_shape if count == 1 else (count, *self.noise_shape)))

    @abstractmethod
    def law(self, parameters: Tensor) -> LatentLaw:
        """The distributions of what an encoder gave (B, numbers)."""

    def density(self, parameters: Tensor, latent: Tensor) -> Tensor:
        """log q(z | x) in nats (B,) of given latents (B, D), where it is `explicit`."""
        raise TypeError(f"{type(self).__name__} has no density of given latents")

    def require(self, parameters: Tensor) -> Tensor:
        """What an encoder gave, in float32 or better.

        Raises:
            ValueError: it is not of shape (B, numbers).
        """
        if parameters.shape[1:] != (self.numbers,):
            rule = f"encoder must return {self.formula} = {self.numbers} values an image"
            raise ValueError(f"{rule}, got shape {tuple(parameters.shape[1:])}")
        return parameters.to(torch.promote_types(parameters.dtype, torch.float32))


class Diagonal(Posterior):
    """A Gaussian of independent units: means, then log-variances.

    Reference: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014).
    """

    def law(self, parameters: Tensor) -> DiagonalGaussian:
        """The Gaussians."""
        return DiagonalGaussian.from_parameters(self.require(parameters))

    def density(self, parameters: Tensor, latent: Tensor) -> Tensor:
        """The Gaussian density."""
        return self.law(parameters).log_prob(latent)


@dataclass(frozen=True)
class Point:
    """One latent (B, D) an image, whatever the noise."""

    mean: Tensor

    def rsample(self, noise: Tensor) -> Tensor:
        """The latent."""
        return self.mean

    def sampled(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The latent; its density is infinite, and 0 stands in the place of its log."""
        return self.mean, self.mean.new_zeros(len(self.mean))

    def kl(self) -> None:
        """None: it is infinite."""

    def kl_per_unit(self) -> None:
        """None: it is infinite."""


class Deterministic(Posterior):
    """What an encoder gives is the latent: an autoencoder, which has no density of images.

    Reference: Ghosh et al., "From Variational to Deterministic Autoencoders" (2020).
    """

    formula = "latent_size"
    per_unit = False
    explicit = False
    deterministic = True

    @property
    def numbers(self) -> int:
        """A number a unit."""
        return self.latent_size

    def law(self, parameters: Tensor) -> Point:
        """The latents."""
        return Point(self.require(parameters))
