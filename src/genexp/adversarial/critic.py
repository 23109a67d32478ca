"""The critic: the one object that plays against a generator, in every family that has an adversarial term."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from genexp.adversarial.frozen_buffers import coupling
from genexp.adversarial.parts import AdversarialObjective, Penalty
from genexp.conditioning.base import UNCONDITIONAL, Condition, joined

Constraint = Callable[[nn.Module], None]


class Critic(nn.Module):
    """A discriminator together with what it is trained for.

    Args:
        discriminator: Maps images (B, C, H, W) and a condition to scores (B,).
        objective: Losses of both players as functions of the scores.
        penalties: Regularisers added to the critic's loss, by the name they are logged under.
        constraints: Applied to the discriminator by `constrain`, after every critic step.
        concatenate: Whether real and fake images share one forward pass. That changes nothing but speed unless the
            discriminator has batch norm, where it mixes their statistics, or packs, where it is refused. By default
            they share it unless it has either.

    Raises:
        TypeError: a penalty or a constraint cannot be called, such as settings that are left of one not chosen; the
            objective lacks a member of `AdversarialObjective`.
        ValueError: the discriminator has batch norm or packs, and there are penalties; or it has packs of real and fake
            images in one pass.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        objective: AdversarialObjective,
        penalties: Mapping[str, Penalty] | None = None,
        constraints: Mapping[str, Constraint] | None = None,
        concatenate: bool | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(objective, AdversarialObjective):
            raise TypeError(
                "objective must have scope, critic(real, fake) and generator(real, fake), as "
                f"genexp.adversarial.objectives.Paired gives them, got {type(objective).__name__}"
            )
        _require_callable("penalties", penalties)
        _require_callable("constraints", constraints)
        coupled = coupling(discriminator)
        if penalties and coupled:
            raise ValueError(
                f"discriminator must have no {coupled} under the penalties {sorted(penalties)}, which differentiate "
                f"the score of each sample alone, got {type(discriminator).__name__} with {coupled}"
            )
        if concatenate and coupled == "packs":
            raise ValueError("concatenate must be false or null for a discriminator with packs, got true")
        self.discriminator = discriminator
        self.objective = objective
        self.penalties = dict(penalties or {})
        self.constraints = dict(constraints or {})
        self.concatenate = coupled is None if concatenate is None else concatenate

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Scores (B,) in float32, high for images taken for real."""
        return self.discriminator(image, condition).float()

    def loss(
        self, real: Tensor, fake: Tensor, condition: Condition = UNCONDITIONAL, mix: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Per-sample terms of a critic step; no gradient reaches the generator of `fake`.

        Args:
            real: Images (B, C, H, W).
            fake: As many generated images, under the same condition.
            condition: What both are judged under.
            mix: Uniform draws (B,) in [0, 1] for penalties between real and fake; drawn here when absent.

        Returns:
            `loss`; the scores `real` and `fake`; `balance`, the share of pairs (real i, fake i) in the right order
            (1/2 at equilibrium, 1 when the critic wins every time); and `penalty/<name>` of every penalty.
        """
        fake = fake.detach()
        real_score, fake_score = self._scores(real, fake, condition)
        # The bare discriminator, because a compiled module has no second derivative.
        penalties = {
            f"penalty/{name}": penalty(self.discriminator, real, fake, condition, mix)
            for name, penalty in self.penalties.items()
        }
        return {
            "loss": self.objective.critic(real_score, fake_score) + sum(penalties.values()),
            "real": real_score,
            "fake": fake_score,
            "balance": (1 + torch.sign(real_score - fake_score)) / 2,
            **penalties,
        }

    def generator_loss(self, real: Tensor, fake: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Per-sample loss (B,) of the generator that made `fake`.

        Args:
            real: Images (B, C, H, W); looked at only by an objective that holds fakes against them.
            fake: As many generated images, under the same condition.
            condition: What both are judged under.
        """
        real_score = None
        if self.objective.scope != "sample":
            with torch.no_grad():
                real_score = self(real, condition)
        return self.objective.generator(real_score, self(fake, condition))

    def constrain(self) -> None:
        """Project the discriminator's weights; call it after every critic step."""
        for constraint in self.constraints.values():
            constraint(self.discriminator)

    def _scores(self, real: Tensor, fake: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        if not self.concatenate:
            return self(real, condition), self(fake, condition)
        both = self(torch.cat([real, fake]), joined(condition, condition))
        real_score, fake_score = both.split([len(real), len(fake)])
        return real_score, fake_score


def _require_callable(group: str, parts: Mapping[str, Callable] | None) -> None:
    for name, part in (parts or {}).items():
        if not callable(part):
            raise TypeError(
                f"{group}.{name} must be a part (in YAML: with _target_), got {part}, settings of one not chosen?"
            )
