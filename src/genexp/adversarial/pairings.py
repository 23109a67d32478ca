"""What the score of an image is held against: nothing, one image of the other side, or the mean of the other side.

A pairing composes with every `ScoreLoss`. In the relativistic ones a player pays by the margin m by which the scores of
its own side lead: the critic for that of real over fake images, the generator for that of fake over real ones.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from genexp.adversarial.agreement import over_ranks

Scope = Literal["sample", "pair", "batch"]
"""Whose scores the loss of one sample depends on: its own, those of its pair (real i, fake i), or the whole batch's."""


class ScoreLoss(Protocol):
    """The one-sided losses that an objective is made of; scores (B,) in, losses (B,) out."""

    def real(self, score: Tensor) -> Tensor:
        """What the critic pays for the score of a real image, or for the lead of real over fake ones."""
        ...

    def fake(self, score: Tensor) -> Tensor:
        """What the critic pays for the score of a fake."""
        ...

    def made(self, score: Tensor) -> Tensor:
        """What the generator pays for the score of its image."""
        ...

    def encoded(self, score: Tensor) -> Tensor:
        """What the encoder pays for the score of a real image with its latent."""
        ...

    def overtaking(self, margin: Tensor) -> Tensor:
        """What the generator pays for the lead of its images over real ones."""
        ...


class Pairing(Protocol):
    """How the scores of both sides enter a loss."""

    scope: Scope

    def critic(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's loss (B,)."""
        ...

    def generator(self, loss: ScoreLoss, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's loss (B,)."""
        ...

    def both(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The loss (B,) of a generator and an encoder, who made both sides."""
        ...


@dataclass(frozen=True)
class Plain:
    """Every score by itself. Critic: real(D(x)) + fake(D(G(z))). Generator: made(D(G(z)))."""

    scope: ClassVar[Scope] = "sample"

    def critic(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The sum of both sides."""
        return loss.real(real) + loss.fake(fake)

    def generator(self, loss: ScoreLoss, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's side; `real` is not used and may be None."""
        return loss.made(fake)

    def both(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The generator's side and the encoder's."""
        return loss.made(fake) + loss.encoded(real)


@dataclass(frozen=True)
class RelativisticPaired:
    """Real image i against fake i. Critic: real(D(x_i) - D(G(z_i))). Generator: overtaking(D(G(z_i)) - D(x_i)).

    References: Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN" (2018),
    section 4.1, the form for losses that are symmetric; Huang et al., "The GAN is dead; long live the GAN! A Modern
    GAN Baseline" (2024), which joins it with R1 and R2.
    """

    scope: ClassVar[Scope] = "pair"

    def critic(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of the lead of real over fake."""
        return loss.real(real - fake)

    def generator(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of the lead of fake over real."""
        return loss.overtaking(fake - real)

    def both(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The same lead, which the encoder shortens from its side."""
        return self.generator(loss, real, fake)


@dataclass(frozen=True)
class RelativisticAverage:
    """Every image against the mean score of the other side, over the whole batch of all processes.

    Critic: real(D(x) - E D(G(z))) + real(E D(x) - D(G(z))). Generator: overtaking(D(G(z)) - E D(x)) +
    overtaking(E D(G(z)) - D(x)). The losses (B,) sum one term of either side; only their mean has a meaning.

    Reference: Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN" (2018),
    section 4.2.
    """

    scope: ClassVar[Scope] = "batch"

    def critic(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of the lead of every real image over the mean fake, and of the mean real one over every fake."""
        return loss.real(real - mean(fake)) + loss.real(mean(real) - fake)

    def generator(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The same leads, of fake over real."""
        return loss.overtaking(fake - mean(real)) + loss.overtaking(mean(fake) - real)

    def both(self, loss: ScoreLoss, real: Tensor, fake: Tensor) -> Tensor:
        """The same leads, which the encoder shortens from its side."""
        return self.generator(loss, real, fake)


def mean(score: Tensor) -> Tensor:
    """The mean () of the scores (B,) of all processes, differentiable in those of every process.

    Every process must hold as many scores.
    """
    return over_ranks(score.mean())
