"""Autoencoders in use: images to latents and back, whatever they were trained on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, Noise
from genexp.families.base import Family
from genexp.latents.coding import compared
from genexp.latents.maps import NetworkCoder, map_coder
from genexp.latents.posteriors import Diagonal, LatentLaw, Posterior
from genexp.latents.priors import Prior, StandardNormal
from genexp.latents.showing import traversal, traversals
from genexp.losses.reconstruction import ReconstructionLikelihood
from genexp.sample_kinds import kind_of
from genexp.tensors import Grid, IndexedNoise


class Autoencoder(Family):
    """What a trained encoder and decoder do; training is in the subclasses, which set the attributes below."""

    encoder: nn.Module
    decoder: nn.Module
    reconstruction: ReconstructionLikelihood
    posterior_kind: Posterior
    prior: Prior
    latent_shape: tuple[int, ...]

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it, with the noise of one latent an image as `noise`."""
        raise TypeError(f"{type(self).__name__} must define observe")

    def posterior(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> LatentLaw:
        """The approximate posterior q(z | x) of images (B, C, H, W) as the likelihood observes them.

        Raises:
            ValueError: The encoder does not return as many numbers as that has.
        """
        return self.posterior_kind.law(self.encoder(image, condition))

    @property
    def standard_normal(self) -> bool:
        """Whether the prior is N(0, I)."""
        return isinstance(self.prior, StandardNormal)

    @property
    def gaussian_latents(self) -> bool:
        """Whether posteriors are Gaussians of independent units too."""
        return self.standard_normal and isinstance(self.posterior_kind, Diagonal)

    @torch.no_grad()
    def prior_latents(self, noise: Noise) -> Tensor:
        """Latents (B, latent_size) of the prior."""
        return self.prior.draw(noise, self.posterior)

    def encode(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Posterior means (B, latent_size)."""
        return self.posterior(image, condition).mean

    def map_coder(self) -> NetworkCoder | None:
        """What codes images of any size as maps of posterior means, where the latents are maps."""
        return map_coder(self.encoder, self.decoder, self.posterior_kind, self.reconstruction.mean)

    def latents(self, batch: Batch, noise: IndexedNoise) -> Tensor:
        """One draw (B, latent_size) from the posterior of every image, as the likelihood observes it."""
        batch = self.observe(batch, noise)
        return self.posterior(batch["image"], self.conditioning.told(batch)).rsample(batch["noise"])

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Mean images (B, C, H, W) in [-1, 1] of latents (B, latent_size)."""
        return self.reconstruction.mean(self.decoder(latent, condition))

    def reconstruct(self, batch: Batch) -> Tensor:
        """Mean images of the posterior means."""
        condition = self.conditioning.told(batch)
        return self.decode(self.encode(batch["image"], condition), condition)

    def traversal(
        self, latent: Tensor, unit: int, values: Sequence[float], condition: Condition = UNCONDITIONAL
    ) -> Tensor:
        """Mean images (len(values), C, H, W) of one latent while a single unit takes other values, see `traversal`."""
        return traversal(self.decode, latent, unit, values, condition)

    @torch.no_grad()
    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Pictures beside the samples: reconstructions under their originals, and the most active units traversed.

        Args:
            batch: Held-out samples.
            noise: Noise for data that are binarised at random, one row a sample.
        """
        if not kind_of(batch["image"].shape[1:]).pictured:
            return {}
        image, condition = self.observe(batch, noise)["image"], self.conditioning.told(batch)
        latent = self.encode(image, condition)
        grids = {"reconstruction": compared(image, self.decode(latent, condition))}
        return grids | (
            {"traversal": traversals(self.decode, latent, condition)} if self.prior.kind == "normal" else {}
        )
