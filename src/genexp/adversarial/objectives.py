"""Adversarial objectives: what a critic and a generator minimise, given the critic's scores.

Every objective maps scores of shape (B,) to per-sample losses of shape (B,). Scores are logits, never probabilities. An
objective is a loss of each side and a pairing, which says what the score of an image is held against; the formulas
of the classes are those of the plain pairing.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn.functional import relu, softplus

from genexp.adversarial.pairings import Pairing, Plain, Scope


@dataclass(frozen=True)
class Paired(ABC):
    """An objective made of the losses of each side, a `ScoreLoss`, and a pairing.

    Args:
        pairing: What the score of an image is held against.
    """

    pairing: Pairing = field(default=Plain(), kw_only=True)

    @property
    def scope(self) -> Scope:
        """Whose scores the loss of one sample depends on."""
        return self.pairing.scope

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises, per sample."""
        return self.pairing.critic(self, real, fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """What the generator minimises, per sample; of `real` it needs nothing where `scope` is `sample`."""
        return self.pairing.generator(self, real, fake)

    def both(self, real: Tensor, fake: Tensor) -> Tensor:
        """What a generator and an encoder minimise, who made the fakes and the latents of real images, per sample."""
        return self.pairing.both(self, real, fake)

    @abstractmethod
    def real(self, score: Tensor) -> Tensor:
        """What the critic pays for the score of a real image, or for the lead of real over fake ones."""

    @abstractmethod
    def fake(self, score: Tensor) -> Tensor:
        """What the critic pays for the score of a fake."""

    @abstractmethod
    def made(self, score: Tensor) -> Tensor:
        """What the generator pays for the score of its image."""

    def encoded(self, score: Tensor) -> Tensor:
        """What the encoder pays for the score of a real image with its latent: the game of `made`, sides exchanged.

        Raises:
            TypeError: the objective does not say; only a model with an encoder asks.
        """
        raise TypeError(f"{type(self).__name__} must define encoded(score) to train an encoder")

    def overtaking(self, margin: Tensor) -> Tensor:
        """What the generator pays for the lead of its images over real ones; as for a score unless told otherwise."""
        return self.made(margin)


@dataclass(frozen=True)
class NonSaturating(Paired):
    """Logistic classification of real against fake; the generator maximises log D instead of minimising log(1 - D).

    Critic: softplus(-real) + softplus(fake). Generator: softplus(-fake).

    Reference: Goodfellow et al., "Generative Adversarial Nets" (2014); one-sided smoothing from Salimans et al.,
    "Improved Techniques for Training GANs" (2016).

    Args:
        label_smoothing: How far the target of real images is lowered below 1, in [0, 0.5). Fakes keep the target 0. In
            a relativistic pairing it is the target of the critic's only question, whether the real image is ahead.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must lie in [0, 0.5), got {self.label_smoothing}")

    def real(self, score: Tensor) -> Tensor:
        """Cross-entropy against 1 - label_smoothing."""
        return softplus(-score) + self.label_smoothing * score

    def fake(self, score: Tensor) -> Tensor:
        """Cross-entropy against 0."""
        return softplus(score)

    def made(self, score: Tensor) -> Tensor:
        """Cross-entropy against 1."""
        return softplus(-score)

    def encoded(self, score: Tensor) -> Tensor:
        """Cross-entropy against 0."""
        return softplus(score)


@dataclass(frozen=True)
class Minimax(Paired):
    """Logistic classification of real against fake as a zero-sum game: the generator minimises log(1 - D).

    Critic: softplus(-real) + softplus(fake). Generator: -softplus(fake), flat where the critic is sure of a fake.

    Reference: Goodfellow et al., "Generative Adversarial Nets" (2014).
    """

    def real(self, score: Tensor) -> Tensor:
        """Cross-entropy against 1."""
        return softplus(-score)

    def fake(self, score: Tensor) -> Tensor:
        """Cross-entropy against 0."""
        return softplus(score)

    def made(self, score: Tensor) -> Tensor:
        """The negated cross-entropy against 0."""
        return -softplus(score)

    def encoded(self, score: Tensor) -> Tensor:
        """The negated cross-entropy against 1."""
        return -softplus(-score)


@dataclass(frozen=True)
class Hinge(Paired):
    """Scores are pushed past a margin of 1 on either side; the generator raises the score without bound.

    Critic: relu(1 - real) + relu(1 + fake). Generator: -fake; in a relativistic pairing it has the margin as well.

    References: Lim and Ye, "Geometric GAN" (2017); Jolicoeur-Martineau (2018), appendix, for the relativistic form.
    """

    def real(self, score: Tensor) -> Tensor:
        """How far the score falls short of 1."""
        return relu(1 - score)

    def fake(self, score: Tensor) -> Tensor:
        """How far the score rises above -1."""
        return relu(1 + score)

    def made(self, score: Tensor) -> Tensor:
        """The negated score."""
        return -score

    def encoded(self, score: Tensor) -> Tensor:
        """The score."""
        return score

    def overtaking(self, margin: Tensor) -> Tensor:
        """How far the lead falls short of 1."""
        return relu(1 - margin)


@dataclass(frozen=True)
class Wasserstein(Paired):
    """Difference of scores; an estimate of -W1(real, fake) when a constraint or penalty keeps the critic 1-Lipschitz.

    Critic: fake - real. Generator: -fake.

    Reference: Arjovsky, Chintala and Bottou, "Wasserstein GAN" (2017).
    """

    def real(self, score: Tensor) -> Tensor:
        """The negated score."""
        return -score

    def fake(self, score: Tensor) -> Tensor:
        """The score."""
        return score

    def made(self, score: Tensor) -> Tensor:
        """The negated score."""
        return -score

    def encoded(self, score: Tensor) -> Tensor:
        """The score."""
        return score


@dataclass(frozen=True)
class LeastSquares(Paired):
    """Regression of real to 1 and of fake to 0, with the factor 1/2 of the paper.

    Critic: ((real - 1)^2 + fake^2) / 2. Generator: (fake - 1)^2 / 2. In a relativistic pairing every lead goes to 1.

    Reference: Mao et al., "Least Squares Generative Adversarial Networks" (2017).
    """

    def real(self, score: Tensor) -> Tensor:
        """Half the squared distance to 1."""
        return (score - 1).square() / 2

    def fake(self, score: Tensor) -> Tensor:
        """Half the squared distance to 0."""
        return score.square() / 2

    def made(self, score: Tensor) -> Tensor:
        """Half the squared distance to 1."""
        return (score - 1).square() / 2

    def encoded(self, score: Tensor) -> Tensor:
        """Half the squared distance to 0."""
        return score.square() / 2
