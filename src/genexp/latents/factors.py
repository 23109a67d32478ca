"""The total correlation of latents by a discriminator that tells them from latents of shuffled units."""

from torch import Tensor, nn
from torch.nn.functional import softplus

from genexp.contracts import Noise
from genexp.latents.bounds import Bound, Draw, Opponent, OptimizerFactory
from genexp.latents.evidence import Evidence, Terms
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior
from genexp.networks.latent_discriminator import LatentDiscriminator
from genexp.ramps import Constant, Ramp


class FactorDiscriminator(Bound, nn.Module):
    """-log p(x | z) + beta (KL(q(z | x) || p(z)) + weight log D(z) / (1 - D(z))), the FactorVAE.

    D(z) is the chance that z is one of q(z) and not of the product of its units, which is drawn by a permutation of
    each unit over the images of a batch (of those of a process). The latents are those of the autoencoder's own step;
    the paper takes another half of the batch.

    Reference: Kim and Mnih, "Disentangling by Factorising" (2018), algorithm 2.

    Args:
        discriminator: Maps latents (B, D) to logits (B,).
        optimizer: Builds its optimiser.
        weight: Of the total correlation, gamma of the paper; not negative.
        learning_rate: Factor on its learning rate as a function of images seen.

    Raises:
        ValueError: `weight` is negative.
    """

    whole_batches = "model/bound=factor"

    def __init__(
        self,
        discriminator: LatentDiscriminator,
        optimizer: OptimizerFactory,
        weight: float = 6.4,
        learning_rate: Ramp = Constant(),
    ) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}")
        self.discriminator, self.weight = discriminator, weight
        self.opponent = Opponent(discriminator, optimizer, learning_rate)

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too for a discriminator of other latents."""
        super().require(posterior, prior)
        if self.discriminator.latent_size != posterior.latent_size:
            given = f"{posterior.latent_size} as the model, got {self.discriminator.latent_size}"
            raise ValueError(f"discriminator must have latent_size {given}")

    def draw(self, noise: Noise, prior: Draw, image: Tensor, outputs: int) -> dict[str, Tensor]:
        """What the units of a batch are sorted by."""
        return {"bound/order": noise.uniform(self.discriminator.latent_size)}

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), and the estimate `tc` (B,) of the total correlation in nats."""
        found = self.discriminator(evidence.latent[:, 0])
        penalty = evidence.kl + self.weight * found
        return {"loss": evidence.reconstruction.mean(1) + beta * penalty, "tc": found}

    def opponent_terms(self, evidence: Evidence) -> Terms:
        """The cross-entropy (B,) of both kinds of latents, and `right` (B,), the share of them that it tells apart."""
        latent = evidence.latent[:, 0]
        shuffled = latent.gather(0, evidence.noise["bound/order"].argsort(0))
        joint, product = self.discriminator(latent), self.discriminator(shuffled)
        right = ((joint > 0).float() + (product < 0).float()) / 2
        return {"loss": (softplus(-joint) + softplus(product)) / 2, "right": right}
