"""Sampling latents from a density that is fitted to the encoded training images after training."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, FittedSampler, LatentEncoder, Progress
from genexp.sampling.latent import decoded
from genexp.tensors import IndexedNoise, mix_seed

if TYPE_CHECKING:
    from genexp.data.datamodule import ImageData


class DecodesFitted:
    """What samplers share that are fitted to the latents of training images: whom they draw from, and the decoding."""

    def require(self, model: object) -> None:
        """Check that the model can encode images.

        Raises:
            TypeError: it cannot.
        """
        if not isinstance(model, LatentEncoder):
            raise TypeError(f"{type(self).__name__} needs a model that encodes images, got {type(model).__name__}")

    @torch.no_grad()
    def run(
        self,
        model: LatentEncoder,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) decoded from the latents `start`."""
        return decoded(model.decode, start, condition, progress)


class LatentMixture(DecodesFitted):
    """z ~ sum_k weight_k N(mean_k, covariance_k), image = decode(z); the mixture is fitted to encoded training images.

    One component is the Gaussian with the mean and the full covariance of the latents. Latents are draws from the
    encoder's posteriors, one an image, so the mixture stands in for the aggregate posterior where the prior does not
    match it. Labels of a conditional model are drawn as ever, independently of the latent. Every call of `fit`
    replaces the mixture.

    Reference: Ghosh et al., "From Variational to Deterministic Autoencoders" (2020), ex-post density estimation.

    Args:
        components: Gaussians with full covariance.
        regularisation: Added to every variance, so that covariances can be inverted.
        seed: Seed of the posterior draws and of where the fit starts.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, components: int = 10, regularisation: float = 1e-6, seed: int = 0) -> None:
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        if regularisation < 0:
            raise ValueError(f"regularisation must not be negative, got {regularisation}")
        self.components, self.regularisation, self.seed = components, regularisation, seed
        self._fitted: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def fit(self, model: LatentEncoder, batches: Iterable[Batch]) -> None:
        """Encode images and fit the mixture by expectation maximisation, in float64.

        Args:
            model: Encodes the images.
            batches: Images in a fixed order; the cut into batches does not matter.

        Raises:
            TypeError: `model` cannot encode images.
            ValueError: there are fewer images than components, or a latent is not finite.
        """
        from sklearn.mixture import GaussianMixture

        self.require(model)
        latents = encoded_images(model, batches, self.seed)
        if len(latents) < max(2, self.components):
            raise ValueError(f"components must be at most the {len(latents)} training images, got {self.components}")
        mixture = GaussianMixture(
            self.components, reg_covar=self.regularisation, max_iter=1000, random_state=self.seed % 2**32
        ).fit(latents.numpy())
        weights, means, covariances = (
            torch.from_numpy(each) for each in (mixture.weights_, mixture.means_, mixture.covariances_)
        )
        self._fitted = weights.cumsum(0), means, torch.linalg.cholesky(covariances)

    def start(self, model: LatentEncoder, noise: IndexedNoise) -> Tensor:
        """Latents (B, *latent_shape) of the mixture: first a standard normal draw, then the choice of the component.

        Raises:
            TypeError: `model` cannot encode images.
            RuntimeError: `fit` has not been called.
        """
        self.require(model)
        if self._fitted is None:
            raise RuntimeError("LatentMixture must be fitted to training images before it draws")
        edges, means, factors = self._fitted
        normal = noise.normal(*model.latent_shape)
        share = torch.special.ndtr(noise.normal().cpu().double())
        component = torch.searchsorted(edges, share).clamp(max=self.components - 1)
        latents = means[component] + (factors[component] * normal.cpu().flatten(1).double()[:, None]).sum(2)
        return latents.to(normal).view_as(normal)


@torch.no_grad()
def encoded_images(model: LatentEncoder, batches: Iterable[Batch], seed: int) -> Tensor:
    """One latent (N, D) of every image, drawn from its posterior, in float64 on the CPU.

    Args:
        model: Encodes the images.
        batches: Images in a fixed order; the cut into batches does not matter.
        seed: Seed of the draws.

    Raises:
        ValueError: a latent is not finite.
    """
    encoded, seen = [], 0
    for batch in batches:
        indices = range(seen, seen + len(batch["image"]))
        noise = IndexedNoise(mix_seed(seed, 1), indices, batch["image"].device)
        encoded.append(model.latents(batch, noise).flatten(1).double().cpu())
        seen = indices.stop
    latents = torch.cat(encoded)
    if not latents.isfinite().all():
        raise ValueError("latents of the training images must be finite, got NaN or infinity")
    return latents


def fit_to_training_images(sampler: object, model: object, data: "ImageData", device: torch.device | str) -> None:
    """Fit a sampler that learns from training images; leave every other sampler as it is.

    Args:
        sampler: The sampler.
        model: What it draws from.
        data: The data module of the model's run.
        device: Where the model is.
    """
    if isinstance(sampler, FittedSampler):
        batches = ({name: value.to(device) for name, value in batch.items()} for batch in data.training_images())
        sampler.fit(model, batches)
