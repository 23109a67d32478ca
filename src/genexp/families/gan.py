"""Generative adversarial networks: a generator and a critic that take turns."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.adversarial.statistics import frozen_statistics
from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.ramps import Constant, Ramp

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class GAN(Family):
    """One critic step on every batch of fresh images, one generator step on every `critic_steps`-th batch.

    Images seen therefore count the same for every `critic_steps`: ten thousand images train the critic equally often
    and the generator `critic_steps` times less. Fakes carry the labels of the real batch and a latent of their own in
    each step. The player who waits is left bitwise as it was, running statistics and singular vectors included.

    Reference: Goodfellow et al., "Generative Adversarial Nets" (2014).

    Args:
        generator: Maps latents (B, *latent_shape) and labels (B,) or None to images; has `latent_shape`.
        critic: The opponent.
        generator_optimizer: Builds the generator's optimiser from its parameters.
        critic_optimizer: Builds the critic's optimiser from its parameters.
        generator_learning_rate: Factor on the generator's learning rate as a function of images seen.
        critic_learning_rate: Factor on the critic's learning rate as a function of images seen.
        critic_steps: Critic steps for one generator step, at least 1.
        clip: Largest global gradient norm of either player, or None.
        num_classes: Number of classes if both networks are class-conditional, else None: labels are then not used.
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
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1 for each generator step, got {critic_steps}")
        if critic.objective.scope == "batch":
            self.needs_whole_batches = "model.critic.objective.pairing=relativistic_average"
        self.generator = generator
        self.critic = critic
        self.critic_steps = critic_steps
        self.num_classes = num_classes
        self._register("critic", critic, critic_optimizer, critic_learning_rate, clip)
        self._register("generator", generator, generator_optimizer, generator_learning_rate, clip)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        return self.generator.latent_shape

    def decode(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (B, *latent_shape) with a standard normal prior to images in [-1, 1]."""
        return self.generator(latent, label)

    def train_batch(self, batch: Batch) -> Terms:
        """A critic step, and a generator step if it is its turn."""
        terms = self._critic_step(batch)
        if (self.batches + 1) % self.critic_steps == 0:
            terms |= self._generator_step(batch)
        return terms

    def validate_batch(self, batch: Batch) -> Terms:
        """Scores of held-out images and of fakes: a critic that knows its training set scores the former lower."""
        label = self._label(batch)
        fake = self.generator(self._latents(batch["image"]), label)
        return {
            "val/critic/real": self.critic(batch["image"], label).mean(),
            "val/critic/fake": self.critic(fake, label).mean(),
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
        label = part.get("label")
        with torch.no_grad():
            fake = self.generator(part["latent"], label)
        terms = self.critic.loss(part["image"], fake, label, part["mix"])
        return {name: values.mean() for name, values in terms.items()}

    def _generator_step(self, batch: Batch) -> Terms:
        with frozen_statistics(self.critic):
            terms = self.update("generator", self._draw(batch), self._generator_terms)
        return {f"train/generator/{name}": value for name, value in terms.items()}

    def _generator_terms(self, part: Batch) -> Terms:
        label = part.get("label")
        fake = self.generator(part["latent"], label)
        return {"loss": self.critic.generator_loss(part["image"], fake, label).mean()}

    def _draw(self, batch: Batch) -> dict[str, Tensor]:
        """The real images and latents for one step and, if there are classes, the labels of both."""
        label = self._label(batch)
        drawn = {"image": batch["image"], "latent": self._latents(batch["image"])}
        return drawn if label is None else drawn | {"label": label}

    def _label(self, batch: Batch) -> Tensor | None:
        if self.num_classes is None:
            return None
        if "label" not in batch:
            raise ValueError(f"batch must have labels for num_classes={self.num_classes}, got {sorted(batch)}")
        return batch["label"]

    def _latents(self, image: Tensor) -> Tensor:
        return torch.randn(len(image), *self.latent_shape, device=image.device, dtype=image.dtype)

    def _register(
        self, name: str, network: nn.Module, optimizer: OptimizerFactory, learning_rate: Ramp, clip: float | None
    ) -> None:
        self.register_update(name, Update(optimizer, lambda: list(network.parameters()), learning_rate, clip))
