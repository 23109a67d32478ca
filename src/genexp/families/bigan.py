"""Bidirectional generative adversarial networks: a generator, an encoder, and a critic of images with their latents."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.adversarial.steps import GeneratorStep, Side, patches_averaged
from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.vectors import require_vectors
from genexp.contracts import Batch
from genexp.families.gan import GAN
from genexp.latents.coding import compared, posterior_of
from genexp.latents.gaussian import DiagonalGaussian
from genexp.sample_kinds import kind_of
from genexp.tensors import Grid, IndexedNoise


class BiGAN(GAN):
    """A GAN whose critic tells pairs (x, E(x)) of the data from pairs (G(z), z).

    Generator and encoder are one player, with one optimiser: the critic is fooled best where both kinds of pair have
    one law, and then the encoder inverts the generator. The loss of an objective is that of every term of the joint
    discriminator, averaged over terms; the papers add them up. Penalties of the generator look at the generator alone.

    References: Donahue, Kraehenbuehl and Darrell, "Adversarial Feature Learning" (2017); Dumoulin et al.,
    "Adversarially Learned Inference" (2017); Donahue and Simonyan, "Large Scale Adversarial Representation Learning"
    (2019).

    Args:
        encoder: Maps (image, condition) to 2 * latent_size numbers, the mean and log-variance of a latent.
        stochastic: Whether latents of real images are drawn about the mean (ALI, BigBiGAN), or are the mean (BiGAN).
        generator: As in `GAN`, of latents of one axis.
        critic: The opponent, with a `JointDiscriminator`.
        settings: Everything else that `GAN` takes.

    Raises:
        ValueError: the critic judges images alone, or latents of another size; the encoder is not told what the model
            is.
    """

    averaged_modules = ("generator", "encoder")
    judges_pairs: ClassVar[bool] = True

    def __init__(
        self, generator: nn.Module, critic: Critic, encoder: nn.Module, stochastic: bool = True, **settings: Any
    ) -> None:
        super().__init__(generator, critic, **settings)
        if self.adversarial_weight == 0:
            raise ValueError("adversarial_weight must be above 0 for model=bigan, whose encoder learns of the critic")
        judged = (critic.discriminator.latent_size,)
        if tuple(generator.latent_shape) != judged:
            raise ValueError(
                f"generator must have latents of shape {judged}, as critic.discriminator judges, got "
                f"{tuple(generator.latent_shape)} of {type(generator).__name__}"
            )
        self.encoder, self.stochastic = encoder, stochastic
        require_vectors(encoder, "encoder", self.conditioning)

    def players(self) -> dict[str, list[nn.Module]]:
        """The networks of either player."""
        return {"critic": [self.critic], "generator": [self.generator, self.encoder]}

    def scores(self, image: Tensor, condition: Condition = UNCONDITIONAL, latent: Tensor | None = None) -> Tensor:
        """Scores (B,), over terms, of images (B, C, H, W) with the latents that made them, or those they are given."""
        latent = self.encode(image, condition) if latent is None else latent
        return patches_averaged(self.critic(self._pair(image, latent), condition))

    def _judged_sides(self, part: Batch, fake: Tensor) -> tuple[Tensor, Tensor]:
        return self._pair(part["image"], self._encoded(part)), self._pair(fake, part["latent"])

    def _encoded(self, part: Batch) -> Tensor:
        """The latents (B, latent_size) of real images that a step draws."""
        posterior = self.posterior(part["image"], self.conditioning.told(part))
        return posterior.rsample(part["encoding"]) if self.stochastic else posterior.mean

    def _step(self, part: Batch, condition: Condition, fake: Tensor | None) -> GeneratorStep:
        """A step whose images are seen with their latents."""
        step = super()._step(part, condition, fake)

        def seen(image: Tensor, condition: Condition, side: Side) -> tuple[Tensor, Condition]:
            latent = part["latent"] if side == "fake" else self._encoded(part)
            return step.view(self._pair(image, latent), condition, side)

        return replace(step, view=seen)

    def _pair(self, image: Tensor, latent: Tensor) -> Tensor:
        return self.critic.discriminator.pair(image, latent)

    def _draw(self, batch: Batch) -> dict[str, Tensor]:
        drawn = super()._draw(batch)
        return drawn | {"encoding": torch.randn_like(drawn["latent"])}

    # Using a trained model

    def posterior(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> DiagonalGaussian:
        """The law of the latents of images (B, C, H, W)."""
        return posterior_of(self.encoder, image, condition, self.latent_shape[0])

    def encode(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The means (B, latent_size) of the latents of images (B, C, H, W)."""
        return self.posterior(image, condition).mean

    def latents(self, batch: Batch, noise: IndexedNoise) -> Tensor:
        """A latent (B, latent_size) of every image, drawn as in training."""
        posterior = self.posterior(batch["image"], self.conditioning.told(batch))
        return posterior.rsample(noise.normal(*self.latent_shape)) if self.stochastic else posterior.mean

    def reconstruct(self, batch: Batch) -> Tensor:
        """What the generator makes of the mean latents of images."""
        condition = self.conditioning.told(batch)
        return self.decode(self.encode(batch["image"], condition), condition)

    @torch.no_grad()
    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Reconstructions under their originals."""
        pictured = kind_of(batch["image"].shape[1:]).pictured
        return {"reconstruction": compared(batch["image"], self.reconstruct(batch))} if pictured else {}
