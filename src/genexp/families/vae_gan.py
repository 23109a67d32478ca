"""A bound with the critic of a GAN: what is decoded has to pass for data, in the critic's eyes and in its features."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.conditioning.base import Conditioning
from genexp.contracts import Noise
from genexp.families.base import Terms
from genexp.families.game_rules import require_critic_told
from genexp.latents.bounds import Bound, Draw, Opponent, OptimizerFactory
from genexp.latents.evidence import Evidence
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior
from genexp.ramps import Constant, Ramp


class Adversarial(Bound, nn.Module):
    """-pixels log p(x | z) + features |f(x) - f(y)|^2 / 2 + beta KL(q(z | x) || p(z)) + weight L(decoded prior latent).

    y is the mean image of z, f the last features of the critic's discriminator, and L the generator's loss of the
    critic. The encoder has no gradient of L, whose latents are drawn from the prior; the paper has reconstructions
    among the fakes too, and keeps the decoder alone from the critic's features in part.

    Reference: Larsen et al., "Autoencoding beyond Pixels using a Learned Similarity Metric" (2016), equation 8 and
    algorithm 1.

    Args:
        critic: The opponent, a critic of images alone, with penalties of every step.
        optimizer: Builds its optimiser.
        weight: Of the generator's loss, in nats; not negative.
        features: Of the distance of features; not negative.
        pixels: Of the likelihood; not negative.
        learning_rate: Factor on the critic's learning rate as a function of images seen.

    Raises:
        ValueError: an argument is out of range, or the critic is of another kind.
    """

    def __init__(
        self,
        critic: Critic,
        optimizer: OptimizerFactory,
        weight: float = 1.0,
        features: float = 1.0,
        pixels: float = 1.0,
        learning_rate: Ramp = Constant(),
    ) -> None:
        super().__init__()
        for name, value in (("weight", weight), ("features", features), ("pixels", pixels)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if critic.joint:
            raise ValueError("critic must be one of images, not joint, for bound Adversarial")
        if critic.penalties.intervals:
            raise ValueError(
                f"critic must have penalties of interval 1 in a bound, got {critic.penalties.intervals[0]}"
            )
        self.critic, self.weight, self.features, self.pixels = critic, weight, features, pixels
        self.opponent = Opponent(critic, optimizer, learning_rate, self._observe)
        if critic.objective.scope == "batch":
            self.whole_batches = "model.bound.critic.objective.pairing=relativistic_average"

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too for latents that are relaxed in training."""
        super().require(posterior, prior)
        if posterior.relaxed:
            raise ValueError(f"posterior must be one of real numbers, got {type(posterior).__name__}")

    def require_told(self, conditioning: Conditioning) -> None:
        """Raise ValueError unless the critic reads what the model tells it."""
        require_critic_told(self.critic, "bound.critic", conditioning)

    def draw(self, noise: Noise, prior: Draw, image: Tensor, outputs: int) -> dict[str, Tensor]:
        """A latent of the prior for every image, and the randomness of the critic."""
        drawn = {"bound/prior": prior(noise)}
        return drawn | {f"bound/critic/{name}": rows for name, rows in self.critic.draw(image).items()}

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), that of the `generator` and the distance of `features` (B,)."""
        reconstruction = evidence.reconstruction.mean(1)
        decoded = evidence.picture(evidence.raw)
        features = [self._features(each, evidence) for each in (evidence.image, decoded)]
        distance = (features[0].detach() - features[1]).square().sum(1) / 2
        generator = self.critic.generator_loss(
            evidence.image, self._fake(evidence), evidence.told, self._drawn(evidence)
        )
        loss = self.pixels * reconstruction + self.features * distance + beta * evidence.kl + self.weight * generator
        return {"loss": loss, "generator": generator, "features": distance}

    def opponent_terms(self, evidence: Evidence) -> Terms:
        """The terms of the critic (B,), see `Critic.loss`."""
        with torch.no_grad():
            fake = self._fake(evidence)
        return self.critic.loss(evidence.image, fake, evidence.told, self._drawn(evidence))

    def _observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Let the critic's parts follow its step."""
        self.critic.constrain()
        self.critic.observe(means, images)

    def _fake(self, evidence: Evidence) -> Tensor:
        return evidence.picture(evidence.decoder(evidence.noise["bound/prior"], evidence.told))

    def _features(self, image: Tensor, evidence: Evidence) -> Tensor:
        return self.critic.discriminator.judged(image, self.critic.told(evidence.told)).features.float()

    @staticmethod
    def _drawn(evidence: Evidence) -> dict[str, Tensor]:
        named = evidence.noise.items()
        return {name.removeprefix("bound/critic/"): rows for name, rows in named if name.startswith("bound/critic/")}
