"""What metrics of latents ask of a model: how an image is coded, in nats, and how one draw of a latent weighs."""

from typing import Protocol, runtime_checkable

from torch import Size, Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts import Batch, LatentEncoder, Noise
from genexp.evaluation.over_model import OfModel


class Observing(Protocol):
    """What says how its data are quantised, dequantised or binarised, and to how many levels, as a `Density` does."""

    levels: int | None

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """As a `Density` does."""
        ...


@runtime_checkable
class LatentDensity(Observing, Protocol):
    """A density p(x) = integral of p(x, z) with a distribution q(z | x) that says which latents matter for an image."""

    def log_weights(self, batch: Batch, noise: Noise, count: int) -> Tensor:
        """log p(x, z) - log q(z | x) (B, count) in nats of an observed batch, for fresh z ~ q(z | x) by `noise`."""
        ...


@runtime_checkable
class CodedInParts(Observing, Protocol):
    """A density that is bounded by a distortion and the rates of the parts of a latent: units, layers."""

    def code_lengths(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x | z) (B,) by one latent an image, and the KL divergence (B, parts) of every part from its prior."""
        ...


@runtime_checkable
class GivenLatents(Protocol):
    """A density p(x | z) of images, given latents of any origin."""

    def log_likelihood(self, batch: Batch, latent: Tensor) -> Tensor:
        """log p(x | z) (B,) in nats of an observed batch, given latents (B, *latent_shape)."""
        ...


class GaussianPosterior(Protocol):
    """N(mean, diag(exp(log_variance))) for every image of a batch, (B, ...) each."""

    mean: Tensor
    log_variance: Tensor


@runtime_checkable
class GaussianCoded(Observing, Protocol):
    """A model whose latents (*latent_shape) may have Gaussian posteriors q(z | x) and a standard normal prior."""

    latent_shape: tuple[int, ...]
    conditioning: Conditioning

    @property
    def gaussian_latents(self) -> bool:
        """Whether posteriors are Gaussians of independent units and the prior is N(0, I)."""
        ...

    def posterior(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> GaussianPosterior:
        """q(z | x) of observed images (B, C, H, W)."""
        ...


class OfGaussians(OfModel):
    """What metrics share that measure Gaussian posteriors."""

    def require(self, model: object) -> None:
        """Check that the model has Gaussian posteriors and a standard normal prior.

        Raises:
            TypeError: it has not.
        """
        if not isinstance(model, GaussianCoded):
            raise TypeError(f"{type(self).__name__} measures Gaussian posteriors, got {type(model).__name__}")
        if not model.gaussian_latents:
            raise TypeError(f"{type(self).__name__} measures Gaussian posteriors and a prior N(0, I), got others")


class OfEncoder(OfModel):
    """What metrics share that measure the latents of an encoder."""

    measured = LatentEncoder

    def require(self, model: object) -> None:
        """Check that the model encodes images and is told nothing of them.

        Raises:
            TypeError: it does not encode, or is told something.
        """
        super().require(model)
        if model.conditioning.names:
            raise TypeError(f"{type(self).__name__} measures an encoder that is told nothing, got {model.conditioning}")

    def subject(self, model: LatentEncoder) -> str:
        """How many units a latent has."""
        return f"latents of {Size(model.latent_shape).numel()}"
