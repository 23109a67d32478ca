"""The hierarchical variational autoencoder: a latent in groups from the top down, inferred on the same way."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, distributed, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, Noise
from genexp.families.base import Family, Terms, Update
from genexp.latents.coding import HeadedDecoder, compared
from genexp.latents.hierarchy import Descent, Hierarchy, LadderNetwork, balance
from genexp.losses.reconstruction import ReconstructionLikelihood
from genexp.losses.spectral import SpectralPenalty
from genexp.ramps import Constant, Ramp
from genexp.tensors import BatchNoise, Grid, IndexedNoise

TEMPERATURES = (0.5, 0.7, 0.85, 1.0)
"""Temperatures at which the same latents are shown."""


class HierarchicalVAE(Family):
    """p(x, z) = p(z_1) p(z_2 | z_1) ... p(x | z) with q(z | x) = q(z_1 | x) q(z_2 | z_1, x) ..., both on one way down.

    loss = -log p(x | z) + beta sum_g gamma_g KL_g + spectral sum of the largest singular values. Whatever beta and the
    factors gamma are, `elbo` has all of them 1 and nothing else. The latent of a sampler is the noise of all groups,
    N(0, I), so that `sampler.temperature` multiplies the standard deviations of all priors.

    References: Sonderby et al., "Ladder Variational Autoencoders" (2016); Vahdat and Kautz, "NVAE: A Deep Hierarchical
    Variational Autoencoder" (2020); Child, "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on
    Images" (2021).

    Args:
        ladder: The networks of both ways.
        reconstruction: What the raw values mean.
        optimizer: Builds the one optimiser.
        beta: Weight of the KL divergence as a function of images seen.
        balanced: Whether, while beta is below 1, groups are weighed by their nats a unit (gamma), else gamma is 1.
        soft_clamp: Bound of means and of logarithms of standard deviations, see `Hierarchy`; None for none.
        relative: Whether posteriors are told by their difference from the prior.
        spectral: Factor on the sum of the largest singular values of all layers, in nats; 0 for none.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm, or None.

    Raises:
        ValueError: an argument is out of range.
        TypeError: `ladder` is no network of a hierarchy.
    """

    exact = False

    def __init__(
        self,
        ladder: nn.Module,
        reconstruction: ReconstructionLikelihood,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        beta: Ramp = Constant(),
        balanced: bool = False,
        soft_clamp: float | None = 5.0,
        relative: bool = True,
        spectral: float = 0.0,
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(ladder, LadderNetwork):
            raise TypeError(f"ladder must be the network of a hierarchy, got {type(ladder).__name__}")
        if spectral < 0:
            raise ValueError(f"spectral must not be negative, got {spectral}")
        if not reconstruction.is_likelihood:
            kind = type(reconstruction).__name__
            raise ValueError(f"reconstruction must be a likelihood, whose nats latents are weighed against, got {kind}")
        if isinstance(ladder, HeadedDecoder):
            ladder.give(reconstruction.outputs(ladder.channels))
        self.ladder, self.reconstruction, self.beta = ladder, reconstruction, beta
        self.hierarchy = Hierarchy(ladder, soft_clamp, relative)
        self.latent_shape: tuple[int, ...] = (sum(self.hierarchy.sizes),)
        self.balanced, self.spectral = balanced, spectral
        self.penalty = SpectralPenalty(ladder) if spectral else None
        self.needs_whole_batches = "model.balanced=true" if balanced else None
        learned = any(True for _ in reconstruction.parameters())
        self.averaged_modules = ("ladder", "reconstruction") if learned else ("ladder",)
        update = Update(optimizer, lambda: list(self.parameters()), learning_rate=learning_rate, clip=clip)
        self.register_update("autoencoder", update)

    # Training and validation

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the weighted bound."""
        beta, batch = self.beta(self.images_seen), self.observe(batch, BatchNoise(batch["image"]))
        if self.penalty is not None:
            self.penalty.turn()
        terms = self.update("autoencoder", batch, lambda part: self._loss(part, beta))
        return {f"train/{name}": value for name, value in terms.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """The bound with beta = 1, the divergence of every group, and bits per dimension where data are discrete."""
        batch = self.observe(batch, BatchNoise(batch["image"]))
        nll, descent = self._coded(batch)
        terms = self._bound(nll, descent.kl)
        terms |= {f"kl_layer_{group}": kl for group, kl in enumerate(descent.kl.T)}
        if self.levels is not None:
            terms["bits_per_dim"] = -terms["elbo"] / (batch["image"][0].numel() * math.log(2))
        return {f"val/{name}": value.mean() for name, value in terms.items()}

    def _loss(self, batch: Batch, beta: float) -> Terms:
        nll, descent = self._coded(batch)
        terms = self._bound(nll, descent.kl)
        weighed = terms["kl"]
        if self.balanced and beta < 1:
            weighed = descent.kl @ balance(_over_processes(descent.kl.detach().mean(0)), self.hierarchy.sizes)
        terms["loss"] = nll + beta * weighed
        terms["beta"] = torch.full_like(nll, beta)
        if self.penalty is not None:
            singular = self.penalty()
            terms["spectral"] = singular.expand_as(nll)
            terms["loss"] = terms["loss"] + self.spectral * singular
        return {name: value.mean() for name, value in (terms | self.reconstruction.terms()).items()}

    def _coded(self, batch: Batch) -> tuple[Tensor, Descent]:
        """-log p(x | z) (B,) of an observed batch, and the way down to it."""
        descent = self.hierarchy.descend(batch["noise"], batch["image"])
        return self.reconstruction(descent.raw, batch["image"]), descent

    def _bound(self, nll: Tensor, kl: Tensor) -> Terms:
        return {"elbo": -nll - kl.sum(1), "reconstruction": nll, "kl": kl.sum(1)}

    # The density of data

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood is a probability."""
        return self.reconstruction.levels

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it, with the noise of one latent an image."""
        image = self.reconstruction.observe(batch["image"], noise.uniform(*batch["image"].shape[1:]))
        return {**batch, "image": image, "noise": noise.normal(*self.latent_shape)}

    def log_prob(self, batch: Batch) -> Tensor:
        """The evidence lower bound (B,) in nats, by one latent an image."""
        nll, descent = self._coded(batch)
        return -nll - descent.kl.sum(1)

    def code_lengths(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x | z) (B,) and the divergence (B, groups) of every group, the top one first, in nats."""
        nll, descent = self._coded(batch)
        return nll, descent.kl

    def log_weights(self, batch: Batch, noise: Noise, count: int) -> Tensor:
        """log p(x, z) - log q(z | x) in nats (B, count) of an observed batch, by fresh latents z ~ q(z | x)."""
        image = batch["image"].repeat_interleave(count, 0)
        drawn = noise.normal(count, *self.latent_shape).flatten(0, 1)
        nll, descent = self._coded({"image": image, "noise": drawn})
        return (descent.log_ratio - nll).unflatten(0, (-1, count))

    # Using a trained model

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Mean images (B, C, H, W) in [-1, 1] of the noise of all groups (B, D), the top group's first."""
        return self.reconstruction.mean(self.hierarchy.descend(latent).raw)

    def encode(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The noise (B, D) by which every group is at the mean of its posterior."""
        return self.hierarchy.descend(image.new_zeros(len(image), *self.latent_shape), image).noise

    def latents(self, batch: Batch, noise: IndexedNoise) -> Tensor:
        """The noise (B, D) of one draw from the posterior of every image, as the likelihood observes it."""
        batch = self.observe(batch, noise)
        return self.hierarchy.descend(batch["noise"], batch["image"]).noise

    def reconstruct(self, batch: Batch) -> Tensor:
        """Mean images of the means of all posteriors."""
        return self.decode(self.encode(batch["image"]))

    @torch.no_grad()
    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Pictures beside the samples: reconstructions, and the same latents at several temperatures."""
        batch = self.observe(batch, noise)
        latent = noise.normal(*self.latent_shape)[:10]
        rows = torch.cat([self.decode(t * latent) for t in TEMPERATURES])
        words = [f"temperature {t:g}" for t in TEMPERATURES]
        return {
            "reconstruction": compared(batch["image"], self.reconstruct(batch)),
            "temperature": Grid(rows, len(latent), down=words),
        }


def _over_processes(mean: Tensor) -> Tensor:
    """The mean over all processes."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(mean)
        mean = mean / distributed.get_world_size()
    return mean
