"""The variational autoencoder: one evidence lower bound, exact in nats, for any encoder, decoder and reconstruction."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, distributed, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch, Noise
from genexp.families.base import Family, Terms, Update
from genexp.latents.coding import compared, posterior_of
from genexp.latents.gaussian import DiagonalGaussian, UnitActivity
from genexp.losses.reconstruction import ReconstructionLikelihood
from genexp.ramps import Constant, Ramp
from genexp.sample_kinds import kind_of
from genexp.tensors import BatchNoise, Grid, IndexedNoise

TRAVERSED_UNITS = 10
TRAVERSAL = (-3.0, -2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0)
"""Standard deviations of the prior at which a traversal shows a unit."""


class VAE(Family):
    """A decoder p(x | z) with prior N(0, I), trained together with an encoder q(z | x) on the evidence lower bound.

    loss = -log p(x | z) + beta KL(q(z | x) || N(0, I)), z ~ q(z | x), summed over pixels and units, averaged over the
    batch. Whatever beta is, `elbo` has beta = 1.

    References: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014); Higgins et al., "beta-VAE: Learning Basic
    Visual Concepts with a Constrained Variational Framework" (2017); Kingma et al., "Improved Variational Inference
    with Inverse Autoregressive Flow" (2016), for free bits.

    Args:
        encoder: Maps (image, condition) to 2 * latent_size posterior parameters.
        decoder: Maps (latent, condition) to raw values of the image's shape.
        reconstruction: What the raw values mean.
        latent_size: Units of the latent.
        optimizer: Builds the one optimiser of encoder, decoder and reconstruction.
        beta: Weight of the KL divergence as a function of images seen.
        free_bits: Nats below which the KL of one unit is not reduced any further, or None.
        free_bits_over: Whose KL that is: `image`, that of every image by itself, or `batch`, the mean over the batch,
            which is the formula of Kingma et al. (2016): sum_j max(free_bits, mean_i KL_ij). The first leaves every
            image at least so many nats; the second lets one image use fewer as long as others use more.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm, or None.
        num_classes: Number of labels the networks are conditioned on, or None.
        conditions: What else both networks are told, by name.
    """

    renamed_modules: ClassVar[dict[str, str]] = {"likelihood": "reconstruction"}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        reconstruction: ReconstructionLikelihood,
        latent_size: int,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        beta: Ramp = Constant(),
        free_bits: float | None = None,
        free_bits_over: str = "image",
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
        num_classes: int | None = None,
        conditions: Mapping[str, ConditionKind] | None = None,
    ) -> None:
        super().__init__()
        if latent_size < 1:
            raise ValueError(f"latent_size must be at least 1, got {latent_size}")
        if free_bits is not None and free_bits < 0:
            raise ValueError(f"free_bits must not be negative, got {free_bits}")
        if free_bits_over not in ("image", "batch"):
            raise ValueError(f"free_bits_over must be image or batch, got {free_bits_over!r}")
        if free_bits is not None and free_bits_over == "batch":
            self.needs_whole_batches = "model.free_bits_over=batch"
        self.encoder, self.decoder, self.reconstruction = encoder, decoder, reconstruction
        self.latent_shape = (latent_size,)
        self.beta, self.free_bits, self.free_bits_over = beta, free_bits, free_bits_over
        self.conditioning = Conditioning.of(num_classes, conditions)
        self.conditioning.require_read_by(encoder, "encoder")
        self.conditioning.require_read_by(decoder, "decoder")
        learned = any(True for _ in reconstruction.parameters())
        self.averaged_modules = ("encoder", "decoder", "reconstruction") if learned else ("encoder", "decoder")
        self._activity = UnitActivity()
        self.register_update(
            "autoencoder",
            Update(optimizer, parameters=lambda: list(self.parameters()), learning_rate=learning_rate, clip=clip),
        )

    # Training and validation

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the weighted bound."""
        beta = self.beta(self.images_seen)
        terms = self.update("autoencoder", self._observed(batch), lambda part: self._loss(part, beta))
        return {f"train/{name}": value for name, value in terms.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """The bound with beta = 1 from one latent an image, and bits per dimension where the data are discrete."""
        batch = self._observed(batch)
        posterior = self.posterior(batch["image"], self.conditioning.told(batch))
        self._activity.add(posterior.mean)
        terms = self._bound(batch, posterior)
        if self.levels is not None:
            dimensions = batch["image"][0].numel()
            terms["bits_per_dim"] = -terms["elbo"] / (dimensions * math.log(2))
        return {f"val/{name}": value.mean() for name, value in terms.items()}

    def validation_means(self) -> dict[str, float]:
        """The means of the base class, and the latent units in use over the whole held-out set."""
        means = super().validation_means()
        activity, self._activity = self._activity, UnitActivity()
        if means and activity.moments is not None:
            activity.moments = self.trainer.strategy.reduce(activity.moments, reduce_op="sum")
            means["val/active_units"] = float(activity.active_units())
        return means

    def _observed(self, batch: Batch) -> Batch:
        return self.observe(batch, BatchNoise(batch["image"]))

    def _loss(self, batch: Batch, beta: float) -> Terms:
        posterior = self.posterior(batch["image"], self.conditioning.told(batch))
        terms = self._bound(batch, posterior)
        penalised = terms["kl"]
        if self.free_bits is not None:
            penalised = self._beyond_free_bits(posterior.kl_per_unit())
        terms["loss"] = terms["reconstruction"] + beta * penalised
        terms["beta"] = torch.full_like(penalised, beta)
        return {name: value.mean() for name, value in (terms | self.reconstruction.terms()).items()}

    def _beyond_free_bits(self, kl: Tensor) -> Tensor:
        """The penalised divergence (B,) of every image from that of its units (B, latent_size)."""
        if self.free_bits_over == "image":
            return kl.clamp(min=self.free_bits).sum(1)
        mean = kl.detach().mean(0)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(mean)
            mean /= distributed.get_world_size()
        return torch.where(mean > self.free_bits, kl, self.free_bits).sum(1)

    def _bound(self, batch: Batch, posterior: DiagonalGaussian) -> Terms:
        raw = self.decoder(posterior.rsample(batch["noise"]), self.conditioning.told(batch))
        reconstruction, kl = self.reconstruction(raw, batch["image"]), posterior.kl()
        return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}

    # The density of data

    exact = False

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood is a probability."""
        return self.reconstruction.levels

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it, with the noise of the latents: all randomness of a step."""
        image = self.reconstruction.observe(batch["image"], noise.uniform(*batch["image"].shape[1:]))
        return {**batch, "image": image, "noise": noise.normal(*self.latent_shape)}

    def log_prob(self, batch: Batch) -> Tensor:
        """The evidence lower bound (B,) in nats, by one latent an image."""
        return self._bound(batch, self.posterior(batch["image"], self.conditioning.told(batch)))["elbo"]

    # Using a trained model

    def posterior(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> DiagonalGaussian:
        """The approximate posterior q(z | x) of images (B, C, H, W) as the likelihood observes them.

        Raises:
            ValueError: The encoder does not return 2 * latent_size numbers an image.
        """
        return posterior_of(self.encoder, image, condition, self.latent_shape[0])

    def encode(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Posterior means (B, latent_size)."""
        return self.posterior(image, condition).mean

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
        """Mean images of one latent while a single unit takes other values.

        Args:
            latent: Where to start, shape (latent_size,): a posterior mean, or zeros for the centre of the prior.
            unit: The unit that changes.
            values: What it takes, in standard deviations of the prior.
            condition: What all images are decoded under, a row of each.

        Returns:
            One image for each value (len(values), C, H, W).
        """
        if not 0 <= unit < len(latent):
            raise ValueError(f"unit must lie in [0, {len(latent)}), got {unit}")
        latents = latent.repeat(len(values), 1)
        latents[:, unit] = latents.new_tensor(values)
        told = {name: rows.expand(len(values), *rows.shape[1:]) for name, rows in condition.items()}
        return self.decode(latents, told)

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
        first = {name: rows[:1] for name, rows in condition.items()}
        units = latent.var(0, unbiased=False).argsort(descending=True)[:TRAVERSED_UNITS].tolist()
        rows = [self.traversal(latent[0], unit, TRAVERSAL, first) for unit in units]
        return {
            "reconstruction": compared(image, self.decode(latent, condition)),
            "traversal": Grid(
                torch.cat(rows), len(TRAVERSAL), [f"{z:g}" for z in TRAVERSAL], [f"unit {unit}" for unit in units]
            ),
        }
