"""Generative adversarial networks: a generator and a critic that take turns."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.adversarial.frozen_buffers import frozen_statistics
from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.ramps import Constant, Ramp

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


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
        clip: Largest global gradient norm of either player, or None.
        num_classes: Number of classes if both networks are class-conditional, else None: labels are then not used.
        conditions: What else both networks are told, by name.
    """

    averaged_modules = ("generator",)

    def __init__(
        self,
        generator: nn.Module,
        critic: Critic,
        generator_optimizer: OptimizerFactory,
        critic_optimizer: OptimizerFactory,
        generator_learning_rate: Ramp = Constant(),
        critic_learning_rate: Ramp = Constant(),
        critic_steps: int = 1,
        clip: float | None = None,
        num_classes: int | None = None,
        conditions: Mapping[str, ConditionKind] | None = None,
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1 for each generator step, got {critic_steps}")
        if critic.objective.scope == "batch":
            self.needs_whole_batches = "model.critic.objective.pairing=relativistic_average"
        self.generator = generator
        self.critic = critic
        self.critic_steps = critic_steps
        self.conditioning = Conditioning.of(num_classes, conditions)
        self.conditioning.require_read_by(generator, "generator")
        self.conditioning.require_read_by(critic.discriminator, "critic.discriminator")
        self._register("critic", critic, critic_optimizer, critic_learning_rate, clip)
        self._register("generator", generator, generator_optimizer, generator_learning_rate, clip)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        return self.generator.latent_shape

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) with a standard normal prior to images in [-1, 1]."""
        return self.generator(latent, condition)

    def train_batch(self, batch: Batch) -> Terms:
        """A critic step, and a generator step if it is its turn."""
        terms = self._critic_step(batch)
        if (self.batches + 1) % self.critic_steps == 0:
            terms |= self._generator_step(batch)
        return terms

    def validate_batch(self, batch: Batch) -> Terms:
        """Scores of held-out images and of fakes: a critic that knows its training set scores the former lower."""
        condition = self.conditioning.told(batch)
        fake = self.generator(self._latents(batch["image"]), condition)
        return {
            "val/critic/real": self.critic(batch["image"], condition).mean(),
            "val/critic/fake": self.critic(fake, condition).mean(),
        }

    def _critic_step(self, batch: Batch) -> Terms:
        drawn = self._draw(batch)
        drawn["mix"] = torch.rand(len(batch["image"]), device=batch["image"].device)
        with frozen_statistics(self.generator):
            terms = self.update("critic", drawn, self._critic_terms)
        self.critic.constrain()
        balance = terms.pop("balance")
        return {f"train/critic/{name}": value for name, value in terms.items()} | {"train/balance": balance}

    def _critic_terms(self, part: Batch) -> Terms:
        condition = self.conditioning.told(part)
        with torch.no_grad():
            fake = self.generator(part["latent"], condition)
        terms = self.critic.loss(part["image"], fake, condition, part["mix"])
        return {name: values.mean() for name, values in terms.items()}

    def _generator_step(self, batch: Batch) -> Terms:
        with frozen_statistics(self.critic):
            terms = self.update("generator", self._draw(batch), self._generator_terms)
        return {f"train/generator/{name}": value for name, value in terms.items()}

    def _generator_terms(self, part: Batch) -> Terms:
        condition = self.conditioning.told(part)
        fake = self.generator(part["latent"], condition)
        return {"loss": self.critic.generator_loss(part["image"], fake, condition).mean()}

    def _draw(self, batch: Batch) -> dict[str, Tensor]:
        """The real images and latents for one step, and the conditions of both."""
        condition = self.conditioning.told(batch)
        return {"image": batch["image"], "latent": self._latents(batch["image"]), **condition}

    def _latents(self, image: Tensor) -> Tensor:
        return torch.randn(len(image), *self.latent_shape, device=image.device, dtype=image.dtype)

    def _register(
        self, name: str, network: nn.Module, optimizer: OptimizerFactory, learning_rate: Ramp, clip: float | None
    ) -> None:
        self.register_update(name, Update(optimizer, lambda: list(network.parameters()), learning_rate, clip))
