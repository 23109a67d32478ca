"""Priors that are learned together with the autoencoder."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genexp.contracts import Noise
from genexp.flows.transform import Transform
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.posteriors import Diagonal, Posterior
from genexp.latents.priors import Encode, Prior


class GaussianMixture(nn.Module, Prior):
    """sum_k weight_k N(mean_k, diag(variance_k)), all of it learned; the means start as draws of N(0, I).

    Args:
        latent_size: Units D of the latent.
        components: Gaussians K, at least 1.

    Raises:
        ValueError: `components` is below 1.
    """

    def __init__(self, latent_size: int, components: int = 10) -> None:
        nn.Module.__init__(self)
        Prior.__init__(self, latent_size)
        require_components(components)
        self.mean = nn.Parameter(torch.randn(components, latent_size))
        self.log_variance = nn.Parameter(torch.zeros(components, latent_size))
        self.logits = nn.Parameter(torch.zeros(components))

    def log_prob(self, latent: Tensor, encode: Encode) -> Tensor:
        """Nats (B,) of latents (B, D)."""
        units = DiagonalGaussian(self.mean, self.log_variance).log_prob_per_unit(latent[:, None])
        return torch.logsumexp(units.sum(2) + self.logits.log_softmax(0), 1)

    def draw(self, noise: Noise, encode: Encode) -> Tensor:
        """A component, and a latent of it."""
        return drawn_from(DiagonalGaussian(self.mean, self.log_variance), self.logits.softmax(0), noise)


class VampPrior(nn.Module, Prior):
    """1/K sum_k q(z | u_k) for learned images u_k, tanh of free numbers that start as N(0, 1/4).

    Reference: Tomczak and Welling, "VAE with a VampPrior" (2018), equation 9.

    Args:
        latent_size: Units D of the latent.
        shape: Of an image (C, H, W).
        components: Images K, at least 1.

    Raises:
        ValueError: `components` is below 1.
    """

    reads = ()
    """Conditions that it is told: none, so that an encoder which is told some is refused."""

    def __init__(self, latent_size: int, shape: Sequence[int], components: int = 50) -> None:
        nn.Module.__init__(self)
        Prior.__init__(self, latent_size)
        require_components(components)
        self.raw = nn.Parameter(torch.randn(components, *shape) / 2)

    def require(self, posterior: Posterior) -> None:
        """As for every prior; ValueError too but for Gaussians of independent units."""
        super().require(posterior)
        if not isinstance(posterior, Diagonal):
            raise ValueError(
                f"prior must be another with posterior {type(posterior).__name__}, got VampPrior of diagonal ones"
            )

    def log_prob(self, latent: Tensor, encode: Encode) -> Tensor:
        """Nats (B,) of latents (B, D)."""
        units = self._components(encode).log_prob_per_unit(latent[:, None])
        return torch.logsumexp(units.sum(2), 1) - math.log(len(self.raw))

    def draw(self, noise: Noise, encode: Encode) -> Tensor:
        """One of the images, and a latent of it."""
        return drawn_from(self._components(encode), self.raw.new_full((len(self.raw),), 1 / len(self.raw)), noise)

    def _components(self, encode: Encode) -> DiagonalGaussian:
        law = encode(self.raw.tanh())
        if not isinstance(law, DiagonalGaussian):
            raise TypeError(f"encode must give a DiagonalGaussian, got {type(law).__name__}")
        return law


class FlowPrior(nn.Module, Prior):
    """The law of f^-1(e), e ~ N(0, I): log p(z) = log N(f(z)) + log |det df/dz|.

    Args:
        latent_size: Units D of the latent.
        transform: Builds f, from (D,), its way there from the latent to the noise.

    Raises:
        ValueError: the transform is told conditions.
    """

    def __init__(self, latent_size: int, transform: Callable[[Sequence[int]], Transform]) -> None:
        nn.Module.__init__(self)
        Prior.__init__(self, latent_size)
        self.transform = transform((latent_size,))
        if self.transform.reads:
            raise ValueError(
                f"transform must read nothing in a prior, got one that reads {', '.join(self.transform.reads)}"
            )

    def log_prob(self, latent: Tensor, encode: Encode) -> Tensor:
        """Nats (B,) of latents (B, D)."""
        noise, log_det = self.transform(latent)
        return log_det - (noise.square() + math.log(2 * math.pi)).sum(1) / 2

    def draw(self, noise: Noise, encode: Encode) -> Tensor:
        """The noise, back to latents."""
        return self.transform.inverse(noise.normal(self.latent_size))[0]


def drawn_from(components: DiagonalGaussian, weights: Tensor, noise: Noise) -> Tensor:
    """Latents (B, D) of a mixture: normal noise, and a uniform number for the component.

    Args:
        components: K Gaussians (K, D).
        weights: Their probabilities (K,).
        noise: A row a latent.
    """
    normal, place = noise.normal(components.mean.shape[1]), noise.uniform()
    chosen = torch.searchsorted(weights.cumsum(0), place.to(weights)).clamp(max=len(weights) - 1)
    return DiagonalGaussian(components.mean[chosen], components.log_variance[chosen]).rsample(normal.to(weights))


def require_components(components: int) -> None:
    """Raise ValueError unless there is at least one component."""
    if components < 1:
        raise ValueError(f"components must be at least 1, got {components}")
