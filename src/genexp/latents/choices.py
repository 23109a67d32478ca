"""Latents that are choices among a few, relaxed to points between them where gradients are wanted."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genexp.contracts import Noise
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Encode, Prior


@dataclass(frozen=True)
class OneHotChoices:
    """Independent choices (B, N) of C each, as one-hot latents (B, N * C).

    Args:
        logits: Normalised logits (B, N, C).
        temperature: Of the relaxation softmax((logits + Gumbel noise) / temperature), or None for the choice itself.
        straight_through: Whether a relaxed latent has the value of its choice and the gradient of the relaxation.
    """

    logits: Tensor
    temperature: float | None
    straight_through: bool

    @property
    def mean(self) -> Tensor:
        """The likeliest choices (B, N * C)."""
        return self._chosen(self.logits)

    def rsample(self, noise: Tensor) -> Tensor:
        """Latents (B, N * C) by uniform noise (B, N, C)."""
        scores = self.logits - torch.log(-torch.log(noise.to(self.logits).clamp(1e-6, 1 - 1e-6)))
        if self.temperature is None:
            return self._chosen(scores)
        relaxed = (scores / self.temperature).softmax(2).flatten(1)
        return relaxed + (self._chosen(scores) - relaxed).detach() if self.straight_through else relaxed

    def sampled(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`rsample` with the log-probability in nats (B,) of the choices that it stands for."""
        latent = self.rsample(noise)
        chosen = latent.unflatten(1, self.logits.shape[1:]).argmax(2, keepdim=True)
        return latent, self.logits.gather(2, chosen).sum((1, 2))

    def kl_per_unit(self) -> Tensor:
        """log C - entropy of every choice in nats (B, N)."""
        return math.log(self.logits.shape[2]) + (self.logits.exp() * self.logits).sum(2)

    def kl(self) -> Tensor:
        """Their sum (B,)."""
        return self.kl_per_unit().sum(1)

    def _chosen(self, scores: Tensor) -> Tensor:
        return one_hot(scores.argmax(2), scores.shape[2]).to(scores).flatten(1)


class Categorical(nn.Module, Posterior):
    """`latent_size / categories` choices of `categories` each, in training relaxed by Gumbel noise.

    Out of training latents are true choices, so that bounds are bounds; the loss is of the relaxation, with the
    divergence of the choices.

    References: Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax" (2017); Maddison, Mnih and Teh,
    "The Concrete Distribution" (2017).

    Args:
        latent_size: Units of the latent, those of all choices together.
        categories: Of one choice, at least 2, a divisor of `latent_size`.
        temperature: Of the relaxation, above 0: low ones are nearer to choices, with more noise in their gradients.
        straight_through: Whether the decoder sees the choice itself in training too.

    Raises:
        ValueError: an argument is out of range.
    """

    formula = "latent_size"
    explicit = False
    relaxed = True

    def __init__(
        self, latent_size: int, categories: int = 10, temperature: float = 0.67, straight_through: bool = False
    ) -> None:
        nn.Module.__init__(self)
        Posterior.__init__(self, latent_size)
        _require_categories(latent_size, categories)
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.categories, self.temperature, self.straight_through = categories, temperature, straight_through
        self.prior = f"choices among {categories}"

    @property
    def numbers(self) -> int:
        """A logit a unit."""
        return self.latent_size

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """A uniform number a logit."""
        return (self.latent_size // self.categories, self.categories)

    def draw(self, noise: Noise, count: int = 1) -> Tensor:
        """Uniform noise."""
        return noise.uniform(*(self.noise_shape if count == 1 else (count, *self.noise_shape)))

    def law(self, parameters: Tensor) -> OneHotChoices:
        """The choices of what an encoder gave."""
        logits = self.require(parameters).unflatten(1, self.noise_shape).log_softmax(2)
        return OneHotChoices(logits, self.temperature if self.training else None, self.straight_through)


class UniformChoices(Prior):
    """Every choice as likely as any other.

    Args:
        latent_size: Units of the latent, those of all choices together.
        categories: Of one choice, at least 2, a divisor of `latent_size`.

    Raises:
        ValueError: an argument is out of range.
    """

    fixed = True

    def __init__(self, latent_size: int, categories: int = 10) -> None:
        super().__init__(latent_size)
        _require_categories(latent_size, categories)
        self.categories = categories
        self.kind = f"choices among {categories}"

    def log_prob(self, latent: Tensor, encode: Encode) -> Tensor:
        """-N log C."""
        return latent.new_full((len(latent),), -self.latent_size // self.categories * math.log(self.categories))

    def draw(self, noise: Noise, encode: Encode) -> Tensor:
        """Choices by uniform noise."""
        scores = noise.uniform(self.latent_size // self.categories, self.categories)
        return one_hot(scores.argmax(2), self.categories).to(scores).flatten(1)


def _require_categories(latent_size: int, categories: int) -> None:
    if categories < 2 or latent_size % categories:
        raise ValueError(f"categories must be at least 2 and divide latent_size={latent_size}, got {categories}")
