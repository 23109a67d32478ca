"""The variational autoencoder: a bound on the evidence, exact in nats, of any encoder, decoder and distributions."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from genexp.adversarial.frozen_buffers import frozen_statistics
from genexp.conditioning.base import Conditioning, ConditionKind
from genexp.conditioning.vectors import require_vectors
from genexp.contracts import Batch, Noise
from genexp.families.autoencoder import Autoencoder
from genexp.families.base import Terms, Update
from genexp.latents.bounds import Bound, Elbo, require_together
from genexp.latents.coding import give_heads, with_weights
from genexp.latents.evidence import Evidence, evidence_of, repeated
from genexp.latents.gaussian import UnitActivity
from genexp.latents.posteriors import Diagonal, Posterior
from genexp.latents.priors import Prior, StandardNormal
from genexp.losses.reconstruction import ReconstructionLikelihood
from genexp.ramps import Constant, Ramp
from genexp.tensors import BatchNoise


class VAE(Autoencoder):
    """A decoder p(x | z) with a prior p(z), trained together with an encoder q(z | x) on a bound of the evidence.

    loss = -log p(x | z) + beta KL(q(z | x) || p(z)), z ~ q(z | x), summed over pixels and units, averaged over the
    batch, unless `bound` says otherwise. Whatever beta is, `elbo` has beta = 1.

    References: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014); Higgins et al., "beta-VAE: Learning Basic
    Visual Concepts with a Constrained Variational Framework" (2017).

    Args:
        encoder: Maps (image, condition) to as many numbers as the posterior has parameters.
        decoder: Maps (latent, condition) to raw values of the image's shape.
        reconstruction: What the raw values mean.
        latent_size: Units of the latent.
        optimizer: Builds the one optimiser of all parts.
        beta: Weight of the KL divergence, or of what a bound has in its place, as a function of images seen.
        free_bits: Of the default bound, see `Elbo`.
        free_bits_over: Of the default bound, see `Elbo`.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm, or None.
        num_classes: Number of labels the networks are conditioned on, or None.
        conditions: What else both networks are told, by name.
        posterior: What q(z | x) is; by default a Gaussian of independent units.
        prior: What p(z) is; by default standard normal.
        bound: What is made small; by default the negative evidence lower bound.

    Raises:
        ValueError: An argument is out of range, or parts do not go together.
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
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        bound: Bound | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.reconstruction = encoder, decoder, reconstruction
        self.posterior_kind = Diagonal(latent_size) if posterior is None else posterior
        self.prior = StandardNormal(latent_size) if prior is None else prior
        self.bound = Elbo(free_bits, free_bits_over) if bound is None else bound
        self.latent_shape, self.beta = (latent_size,), beta
        require_together(self.posterior_kind, self.prior, self.bound, latent_size, free_bits)
        self.needs_whole_batches = self.bound.whole_batches
        give_heads(encoder, self.posterior_kind.numbers, decoder, reconstruction.outputs)
        self.conditioning = Conditioning.of(num_classes, conditions)
        require_vectors(encoder, "encoder", self.conditioning)
        require_vectors(decoder, "decoder", self.conditioning)
        self.bound.require_told(self.conditioning)
        self.conditioning.require_read_by(self.prior, "prior")
        parts = {"reconstruction": reconstruction, "posterior_kind": self.posterior_kind, "prior": self.prior}
        self.averaged_modules = ("encoder", "decoder", *with_weights(parts))
        self._activity = UnitActivity()
        update = Update(optimizer, self._own_parameters, learning_rate=learning_rate, clip=clip)
        self.register_update("autoencoder", update)
        if (opponent := self.bound.opponent) is not None:
            update = Update(opponent.optimizer, lambda: list(opponent.network.parameters()), opponent.learning_rate)
            self.register_update("opponent", update)

    def _own_parameters(self) -> list[nn.Parameter]:
        """All weights but those of the bound's opponent."""
        return [weight for name, weight in self.named_parameters() if not name.startswith("bound.")]

    # Training and validation

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the weighted bound."""
        beta, batch = self.beta(self.images_seen), self._drawn(batch)
        opponent = self.bound.opponent
        if opponent is not None and self.images_seen < opponent.start:
            opponent = None
        with frozen_statistics(*([] if opponent is None else [opponent.network])):
            terms = self.update("autoencoder", batch, lambda part: self._loss(part, beta))
        if opponent is not None:
            with frozen_statistics(self.encoder, self.decoder):
                found = self.update("opponent", batch, self._opponent_loss)
            opponent.observe(found, len(batch["image"]) * self.trainer.world_size)
            terms |= {f"opponent/{name}": value for name, value in found.items()}
        return {f"train/{name}": value for name, value in terms.items()}

    def _drawn(self, batch: Batch) -> Batch:
        """The batch as the likelihood sees it, with all that is random in a step."""
        noise = BatchNoise(batch["image"])
        batch = self._observed(batch, noise, self.bound.samples)
        outputs = self.reconstruction.outputs(batch["image"].shape[1])
        return batch | self.bound.draw(noise, self.prior_latents, batch["image"], outputs)

    def validate_batch(self, batch: Batch) -> Terms:
        """The bound with beta = 1, and bits per dimension where the data are discrete."""
        batch = self._observed(batch, BatchNoise(batch["image"]), self.bound.samples)
        evidence = self._evidence(batch)
        self._activity.add(evidence.law.mean)
        terms = self._named(evidence) | self.bound.held_out(evidence)
        if self.levels is not None and "elbo" in terms:
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

    def _loss(self, batch: Batch, beta: float) -> Terms:
        evidence = self._evidence(batch)
        terms = self._named(evidence) | self.bound.loss(evidence, beta, self.images_seen)
        terms["beta"] = torch.full_like(terms["loss"], beta)
        return {name: value.mean() for name, value in (terms | self.reconstruction.terms()).items()}

    def _opponent_loss(self, batch: Batch) -> Terms:
        with torch.no_grad():
            evidence = self._evidence(batch)
        return {name: value.mean() for name, value in self.bound.opponent_terms(evidence).items()}

    def _named(self, evidence: Evidence) -> Terms:
        """The terms of the bound; of a model without one the reconstruction alone."""
        terms = evidence.terms()
        return {"reconstruction": terms["reconstruction"]} if self._without_density else terms

    def _evidence(self, batch: Batch) -> Evidence:
        """The evidence of an observed batch by all latents that it has noise of, (B, ...) or (B, K, ...)."""
        condition = self.conditioning.told(batch)

        def decode(latent: Tensor, count: int) -> tuple[Tensor, Tensor]:
            rows = repeated({**condition, "image": batch["image"]}, count)
            raw = self.decoder(latent, self.conditioning.told(rows))
            return raw, self.reconstruction(raw, rows["image"])

        kind, parameters = self.posterior_kind, self.encoder(batch["image"], condition)
        networks = (self.decoder, self.reconstruction.mean)
        parts = (self.prior, self.posterior, condition, *networks, decode)
        return evidence_of(batch, parameters, kind, *parts, weighed=self.bound.weighs)

    # The density of data

    exact = False

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood is a probability."""
        return self.reconstruction.levels

    @property
    def _without_density(self) -> str | None:
        """The setting by which there is no density, or None."""
        if self.posterior_kind.deterministic:
            return f"model.posterior={type(self.posterior_kind).__name__}, a single latent an image"
        if not self.reconstruction.is_likelihood:
            return f"model.reconstruction={type(self.reconstruction).__name__}, a distance and no likelihood"
        return None

    def require_density(self) -> None:
        """Raise TypeError where the model has no density: of one latent an image, or with a distance of images."""
        if (setting := self._without_density) is not None:
            raise TypeError(f"a density is asked of a model without one ({setting})")

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it, with the noise of one latent an image: all randomness of `log_prob`."""
        return self._observed(batch, noise, 1)

    def _observed(self, batch: Batch, noise: Noise, latents: int) -> Batch:
        image = self.reconstruction.observe(batch["image"], noise.uniform(*batch["image"].shape[1:]))
        return {**batch, "image": image, "noise": self.posterior_kind.draw(noise, latents)}

    def log_prob(self, batch: Batch) -> Tensor:
        """The evidence lower bound (B,) in nats, by one latent an image."""
        return self._evidence(batch).terms()["elbo"]

    def log_weights(self, batch: Batch, noise: Noise, count: int) -> Tensor:
        """log p(x, z) - log q(z | x) in nats (B, count) of an observed batch, by fresh latents z ~ q(z | x)."""
        return self._evidence({**batch, "noise": self.posterior_kind.draw(noise, count)}).log_weights

    def code_lengths(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x | z) (B,) by one latent an image, and KL(q || p) of every unit (B, D), or of all together (B, 1)."""
        return self._evidence(batch).code_lengths()

    def log_likelihood(self, batch: Batch, latent: Tensor) -> Tensor:
        """log p(x | z) (B,) in nats of an observed batch, given latents (B, latent_size)."""
        return -self.reconstruction(self.decoder(latent, self.conditioning.told(batch)), batch["image"])
