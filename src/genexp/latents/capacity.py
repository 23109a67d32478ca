"""How many nats a latent may carry, raised step by step."""

import torch

from genexp.latents.bounds import Bound
from genexp.latents.evidence import Evidence, Terms
from genexp.ramps import Constant, Ramp


class Capacity(Bound):
    """-log p(x | z) + beta gamma |KL(q(z | x) || p(z)) - C|, C in nats of an image, raised in training.

    Every image is drawn to C by itself; published code takes the mean over the batch within the bars.

    Reference: Burgess et al., "Understanding disentangling in beta-VAE" (2018), equation 8.

    Args:
        nats: C as a function of images seen.
        gamma: How strongly, not negative.

    Raises:
        ValueError: `gamma` is negative.
    """

    weighs = False

    def __init__(self, nats: Ramp = Constant(), gamma: float = 100.0) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        self.nats, self.gamma = nats, gamma

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), and C."""
        capacity = self.nats(images_seen)
        distance = (evidence.kl - capacity).abs()
        loss = evidence.reconstruction.mean(1) + beta * self.gamma * distance
        return {"loss": loss, "capacity": torch.full_like(loss, capacity)}
