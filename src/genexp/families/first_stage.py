"""The bound of the first stage of latent diffusion: a critic judges reconstructions."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.adversarial.reconstructed import ReconstructionCritic
from genexp.conditioning.base import Conditioning
from genexp.contracts import Noise
from genexp.families.base import Terms
from genexp.families.game_rules import require_critic_told
from genexp.latents.bounds import Bound, Draw, Opponent, OptimizerFactory
from genexp.latents.evidence import Evidence
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior
from genexp.ramps import Constant, Ramp

DRAWN = "bound/critic/"


@runtime_checkable
class HasLastLayer(Protocol):
    """A decoder that says which weight is its last."""

    @property
    def last_weight(self) -> nn.Parameter: ...


class Judged(Bound, nn.Module):
    """-log p(x | z) + beta KL(q(z | x) || p(z)) + lambda L_G(y), y the image of z.

    lambda is that of `ReconstructionCritic`. Of a reconstruction that is a distance the first term is this. Unlike
    `Adversarial` the critic sees reconstructions alone, never images of the prior: what is drawn from is another model.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3.1 and
    appendix G, after Esser et al. (2021).

    Args:
        critic: The opponent, a critic of images alone, with penalties of every step.
        optimizer: Builds its optimiser.
        weight: Of the generator's loss beside the reconstruction, not negative; 0.5 in the paper's code.
        start: Images of training before there is a critic, not negative.
        adaptive: Whether `weight` is multiplied by the ratio of gradients.
        learning_rate: Factor on the critic's learning rate as a function of images seen.

    Raises:
        ValueError: an argument is out of range, or the critic is of another kind.
    """

    def __init__(
        self,
        critic: Critic,
        optimizer: OptimizerFactory,
        weight: float = 0.5,
        start: int = 0,
        adaptive: bool = True,
        learning_rate: Ramp = Constant(),
    ) -> None:
        super().__init__()
        self.judge = ReconstructionCritic(critic, weight, start, adaptive)
        self.opponent = Opponent(critic, optimizer, learning_rate, self.judge.observe, start)
        if self.judge.whole_batches is not None:
            self.whole_batches = f"model.bound.{self.judge.whole_batches}"

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too for latents that are relaxed in training."""
        super().require(posterior, prior)
        if posterior.relaxed:
            raise ValueError(f"posterior must be one of real numbers, got {type(posterior).__name__}")

    def require_told(self, conditioning: Conditioning) -> None:
        """Raise ValueError unless the critic reads what the model tells it."""
        require_critic_told(self.judge.critic, "bound.critic", conditioning)

    def draw(self, noise: Noise, prior: Draw, image: Tensor, outputs: int) -> dict[str, Tensor]:
        """The randomness of the critic."""
        return {f"{DRAWN}{name}": rows for name, rows in self.judge.draw(image).items()}

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), and the terms of `ReconstructionCritic` once it has begun."""
        reconstruction = evidence.reconstruction.mean(1)
        loss = reconstruction + beta * evidence.kl
        if images_seen < self.judge.start or not self.judge.weight:
            return {"loss": loss}
        if not isinstance(evidence.decoder, HasLastLayer):
            raise TypeError(f"decoder must say which weight is its last, got {type(evidence.decoder).__name__}")
        last, drawn = evidence.decoder.last_weight, self._drawn(evidence)
        picture = evidence.picture(evidence.raw)
        terms = self.judge.terms(evidence.image, picture, reconstruction, last, evidence.told, drawn)
        return {"loss": loss + terms["adversarial"], **terms}

    def opponent_terms(self, evidence: Evidence) -> Terms:
        """The terms of the critic (B,), see `Critic.loss`."""
        with torch.no_grad():
            decoded = evidence.picture(evidence.raw)
        return self.judge.critic_terms(evidence.image, decoded, evidence.told, self._drawn(evidence))

    @staticmethod
    def _drawn(evidence: Evidence) -> dict[str, Tensor]:
        return {name.removeprefix(DRAWN): rows for name, rows in evidence.noise.items() if name.startswith(DRAWN)}
