"""Generative adversarial networks: a generator and a critic that take turns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from genexp.adversarial.consensus import Consensus
from genexp.adversarial.critic import Critic
from genexp.adversarial.frozen_buffers import frozen_statistics
from genexp.adversarial.parts import Penalty
from genexp.adversarial.regularisers import OptimizerFactory, Penalties
from genexp.adversarial.steps import GeneratorStep, patches_averaged
from genexp.adversarial.unrolling import Unrolled
from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch
from genexp.families import game_rules as rules
from genexp.families.base import Family, Terms, Update
from genexp.ramps import Constant, Ramp


class GAN(Family):
    """One critic step on every batch of fresh images, one generator step on every `critic_steps`-th batch.

    Images seen therefore count the same for every `critic_steps`: ten thousand images train the critic equally often
    and the generator `critic_steps` times less. Fakes have the conditions of the real batch and latents of their own in
    each step. The player who waits is left bitwise as it was, running statistics and singular vectors included.

    Reference: Goodfellow et al., "Generative Adversarial Nets" (2014).

    Args:
        generator: Maps latents (B, *latent_shape) and a condition to images; has `latent_shape`.
        critic: The opponent.
        generator_optimizer: Builds the generator's optimiser from its parameters.
        critic_optimizer: Builds the critic's optimiser from its parameters.
        generator_learning_rate: Factor on the generator's learning rate as a function of images seen.
        critic_learning_rate: Factor on the critic's learning rate as a function of images seen.
        critic_steps: Critic steps for one generator step, at least 1.
        reuse_fakes: Whether the generator's step takes the fakes of the critic's step before it, made once for both.
        generator_penalties: Regularisers added to the generator's loss, by the name they are logged under.
        adversarial_weight: Factor on the loss that the generator gets from the critic, at least 0. At 0 the generator
            learns from its penalties alone, and the critic takes no steps.
        unrolled: What makes the generator look through further critic steps, or None.
        consensus: What draws both players to where neither has anywhere to go, or None.
        clip: Largest global gradient norm of either player, or None.
        num_classes: Number of classes if both networks are class-conditional, else None: labels are then not used.
        conditions: What else both networks are told, by name.
    """

    averaged_modules = ("generator",)
    judges_pairs: ClassVar[bool] = False
    """Whether the critic judges images together with their latents."""

    def __init__(
        self,
        generator: nn.Module,
        critic: Critic,
        generator_optimizer: OptimizerFactory,
        critic_optimizer: OptimizerFactory,
        generator_learning_rate: Ramp = Constant(),
        critic_learning_rate: Ramp = Constant(),
        critic_steps: int = 1,
        reuse_fakes: bool = False,
        generator_penalties: Mapping[str, Penalty[GeneratorStep]] | None = None,
        adversarial_weight: float = 1.0,
        unrolled: Unrolled | None = None,
        consensus: Consensus | None = None,
        clip: float | None = None,
        num_classes: int | None = None,
        conditions: Mapping[str, ConditionKind] | None = None,
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1 for each generator step, got {critic_steps}")
        rules.require_judge(critic, self.judges_pairs)
        rules.require_weight(adversarial_weight, bool(generator_penalties))
        rules.require_ahead(unrolled, consensus, critic_optimizer)
        self.generator, self.critic = generator, critic
        self.adversarial_weight = adversarial_weight
        self.critic_steps, self.unrolled, self.consensus = critic_steps, unrolled, consensus
        self.penalties = Penalties("generator_penalties", generator_penalties, generator)
        self.needs_derivatives = rules.second_derivatives(unrolled, consensus)
        self.reuse_fakes, self._shared = reuse_fakes, None
        rules.require_reusable(reuse_fakes, adversarial_weight, self.needs_derivatives)
        self.needs_whole_batches = rules.whole_batches(critic, self.penalties, self.needs_derivatives, reuse_fakes)
        self.conditioning = Conditioning.of(num_classes, conditions)
        rules.require_told(generator, critic, self.conditioning)
        critic_optimizer = critic.penalties.shortened(critic_optimizer)
        generator_optimizer = self.penalties.shortened(generator_optimizer)
        self._register("critic", critic_optimizer, critic_learning_rate, clip)
        self._register("generator", generator_optimizer, generator_learning_rate, clip)

    def arrange(self, accumulate: int = 1, compile: bool = False, **further: bool) -> Self:
        """As for every family; ValueError too where compiled networks would need second derivatives, or see `rules`."""
        rules.require_always_told(self.conditioning)
        rules.require_plain_graph(self.needs_derivatives, self.unrolled, compile, further.get("recompute", False))
        return super().arrange(accumulate, compile, **further)

    def freeze(self, layers: Sequence[str], further: Collection[str] = ()) -> Self:
        """As for every family; ValueError too where consensus draws all weights of both players to rest."""
        if layers and self.consensus is not None:
            raise ValueError(f"training.freeze must be null with model.consensus (of all weights), got {layers}")
        return super().freeze(layers, further)

    def players(self) -> dict[str, list[nn.Module]]:
        """The networks of either player."""
        return {"critic": [self.critic], "generator": [self.generator]}

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        return self.generator.latent_shape

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) with a standard normal prior to images in [-1, 1]."""
        return self.generator(latent, condition)

    def train_batch(self, batch: Batch) -> Terms:
        """A critic step, and a generator step if it is its turn."""
        turn = (self.batches + 1) % self.critic_steps == 0
        if self.reuse_fakes and turn:
            drawn = self._draw(batch)
            self._shared = {**drawn, "fake": self.generator(drawn["latent"], self.conditioning.told(drawn))}
        terms = self._critic_step(batch) if self.adversarial_weight else {}
        if turn:
            terms |= self._generator_step(batch)
        self._shared = None
        return terms

    def validate_batch(self, batch: Batch) -> Terms:
        """Scores of held-out images and of fakes: a critic that knows its training set scores the former lower."""
        if not self.adversarial_weight:
            return {}
        condition, latent = self.conditioning.told(batch), self._latents(batch["image"])
        return {
            "val/critic/real": self.scores(batch["image"], condition).mean(),
            "val/critic/fake": self.scores(self.generator(latent, condition), condition, latent).mean(),
        }

    def scores(self, image: Tensor, condition: Condition = UNCONDITIONAL, latent: Tensor | None = None) -> Tensor:
        """Scores (B,) of images (B, C, H, W) as they are, which a generator may have made of latents."""
        return patches_averaged(self.critic(image, condition))

    def _critic_step(self, batch: Batch) -> Terms:
        drawn = self._shared or self._draw(batch)
        with frozen_statistics(*self.players()["generator"]):
            terms = self.update("critic", drawn, self._critic_terms)
            self.critic.constrain()
            self.critic.observe(terms, self._images(batch))
            for interval in self.critic.penalties.due(self.batches):
                terms |= self._further("critic", drawn, partial(self._lazy_critic_terms, interval))
                self.critic.constrain()
        balance = terms.pop("balance")
        return {f"train/critic/{name}": value for name, value in terms.items()} | {"train/balance": balance}

    def _critic_terms(self, part: Batch) -> Terms:
        real, fake = self._sides(part)
        terms = self.critic.loss(real, fake, self.conditioning.told(part), part)
        return self._agreed({name: values.mean() for name, values in terms.items()}, part)

    def _lazy_critic_terms(self, interval: int, part: Batch) -> Terms:
        real, fake = self._sides(part)
        terms = self.critic.lazy_loss(real, fake, self.conditioning.told(part), part, interval)
        return {name: values.mean() for name, values in terms.items()}

    def _generator_step(self, batch: Batch) -> Terms:
        drawn = (self._shared or self._draw(batch)) | self.penalties.draw(batch["image"], self.images_seen)
        with frozen_statistics(self.critic):
            terms = self.update("generator", drawn, self._generator_terms)
            for interval in self.penalties.due(self.batches // self.critic_steps):
                terms |= self._further("generator", drawn, partial(self._lazy_generator_terms, interval))
        self.penalties.observe(terms, self._images(batch))
        return {f"train/generator/{name}": value for name, value in terms.items()}

    def _generator_terms(self, part: Batch) -> Terms:
        condition = self.conditioning.told(part)
        fake = part["fake"] if "fake" in part else self.generator(part["latent"], condition)
        penalties = self.penalties.terms(self._step(part, condition, fake), part)
        loss = sum(penalties.values())
        if self.adversarial_weight:
            loss = loss + self.adversarial_weight * self._adversarial(part, fake, condition)
        return self._agreed({name: values.mean() for name, values in {"loss": loss, **penalties}.items()}, part)

    def _adversarial(self, part: Batch, fake: Tensor, condition: Condition) -> Tensor:
        """Losses (B,) of fakes by the critic, of now or unrolled."""
        real, fake = self._judged_sides(part, fake)
        if self.unrolled is None:
            return self.critic.generator_loss(real, fake, condition, part)
        optimizer = self.optimizer("critic").optimizer
        return self.unrolled.generator_loss(self.critic, optimizer, real, fake, condition, part)

    def _agreed(self, terms: Terms, part: Batch) -> Terms:
        """The means of a player's terms with what consensus adds to its loss."""
        if self.consensus is None:
            return terms
        value = self.consensus(lambda: self._losses(part), **self.players())
        return {**terms, "loss": terms["loss"] + value, "consensus": value}

    def _losses(self, part: Batch) -> tuple[Tensor, Tensor]:
        """The mean loss of the critic and of the generator, with the graph of both."""
        condition = self.conditioning.told(part)
        real, fake = self._judged_sides(part, self.generator(part["latent"], condition))
        loss = self.critic.loss(real, fake, condition, part, through=True)["loss"]
        of_generator = self.critic.generator_loss(real, fake, condition, part).mean()
        return loss.mean(), self.adversarial_weight * of_generator

    def _lazy_generator_terms(self, interval: int, part: Batch) -> Terms:
        terms = self.penalties.lazy_terms(self._step(part, self.conditioning.told(part), None), part, interval)
        return {name: values.mean() for name, values in terms.items()}

    def _further(self, name: str, drawn: Batch, loss: Callable[[Batch], Terms]) -> Terms:
        """The terms of a further step of a player, without its loss."""
        terms = self.update(name, drawn, loss)
        return {name: value for name, value in terms.items() if name != "loss"}

    def _step(self, part: Batch, condition: Condition, fake: Tensor | None) -> GeneratorStep:
        critic = self.critic
        told, view = critic.told(condition), critic.view(part)
        return GeneratorStep(
            self.generator, critic.discriminator, part["latent"], part["image"], fake, condition, told, view=view
        )

    @torch.no_grad()
    def _sides(self, part: Batch) -> tuple[Tensor, Tensor]:
        """What the critic is to tell apart in its own step."""
        made = part["fake"].detach() if "fake" in part else self.generator(part["latent"], self.conditioning.told(part))
        return self._judged_sides(part, made)

    def _judged_sides(self, part: Batch, fake: Tensor) -> tuple[Tensor, Tensor]:
        """What the critic judges of the real side and of generated images, with the graph that made it."""
        return part["image"], fake

    def _images(self, batch: Batch) -> int:
        return len(batch["image"]) * self.trainer.world_size

    def _draw(self, batch: Batch) -> dict[str, Tensor]:
        """The real images, latents and noise for one step, and the conditions of both."""
        image, condition = batch["image"], self.conditioning.told(batch, anew=True)
        latent = self._latents(image)
        return {"image": image, "latent": latent, **condition, **self.critic.draw(image, self.images_seen)}

    def _latents(self, image: Tensor, generator: nn.Module | None = None) -> Tensor:
        return image.new_empty(len(image), *(generator or self.generator).latent_shape).normal_()

    def _register(self, name: str, optimizer: OptimizerFactory, learning_rate: Ramp, clip: float | None) -> None:
        update = Update(optimizer, lambda: [*nn.ModuleList(self.players()[name]).parameters()], learning_rate, clip)
        self.register_update(name, update)
