"""Adversarial objectives: what a critic and a generator minimise, given the critic's scores.

Every objective maps scores of shape (B,) to per-sample losses of shape (B,). Scores are logits, never probabilities.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class NonSaturating:
    """Logistic classification of real against fake; the generator maximises log D instead of minimising log(1 - D).

    Critic: softplus(-real) + softplus(fake). Generator: softplus(-fake).

    Reference: Goodfellow et al., "Generative Adversarial Nets" (2014); one-sided smoothing from Salimans et al.,
    "Improved Techniques for Training GANs" (2016).

    Args:
        label_smoothing: How far the target of real images is lowered below 1, in [0, 0.5). Fakes keep the target 0.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must lie in [0, 0.5), got {self.label_smoothing}")

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of real against 1 - label_smoothing and of fake against 0."""
        return softplus(-real) + self.label_smoothing * real + softplus(fake)

    def generator(self, fake: Tensor) -> Tensor:
        """Cross-entropy of fake against 1."""
        return softplus(-fake)


@dataclass(frozen=True)
class Minimax:
    """Logistic classification of real against fake as a zero-sum game: the generator minimises log(1 - D).

    Critic: softplus(-real) + softplus(fake). Generator: -softplus(fake), flat where the critic is sure of a fake.

    Reference: Goodfellow et al., "Generative Adversarial Nets" (2014).
    """

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of real against 1 and of fake against 0."""
        return softplus(-real) + softplus(fake)

    def generator(self, fake: Tensor) -> Tensor:
        """The negated cross-entropy of fake against 0."""
        return -softplus(fake)


@dataclass(frozen=True)
class Hinge:
    """Scores are pushed past a margin of 1 on either side; the generator raises the score without bound.

    Critic: relu(1 - real) + relu(1 + fake). Generator: -fake.

    Reference: Lim and Ye, "Geometric GAN" (2017).
    """

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Sum of both margins' violations."""
        return relu(1 - real) + relu(1 + fake)

    def generator(self, fake: Tensor) -> Tensor:
        """The negated score."""
        return -fake


@dataclass(frozen=True)
class Wasserstein:
    """Difference of scores; an estimate of -W1(real, fake) when a constraint or penalty keeps the critic 1-Lipschitz.

    Critic: fake - real. Generator: -fake.

    Reference: Arjovsky, Chintala and Bottou, "Wasserstein GAN" (2017).
    """

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Score of fake minus score of real."""
        return fake - real

    def generator(self, fake: Tensor) -> Tensor:
        """The negated score."""
        return -fake


@dataclass(frozen=True)
class LeastSquares:
    """Regression of real to 1 and of fake to 0, with the factor 1/2 of the paper.

    Critic: ((real - 1)^2 + fake^2) / 2. Generator: (fake - 1)^2 / 2.

    Reference: Mao et al., "Least Squares Generative Adversarial Networks" (2017).
    """

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the squared distance of real to 1 plus half that of fake to 0."""
        return ((real - 1).square() + fake.square()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """Half the squared distance of fake to 1."""
        return (fake - 1).square() / 2
