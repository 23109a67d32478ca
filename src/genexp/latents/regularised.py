"""Autoencoders whose latents are no distribution, held in place by what their decoder may do."""

from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Noise
from genexp.latents.bounds import Bound, Draw
from genexp.latents.evidence import Evidence, Terms
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior

REGULARISERS = ("none", "weights", "gradient")


class Regularised(Bound):
    """-log p(x | z) + beta (latent |z|^2 / 2 + weight R), z the one latent of an image; R is smooth decoding.

    `weights`: R is the sum of the squares of the decoder's weights (RAE-L2). `gradient`: the squared norm of the
    Jacobian of the decoder's outputs by the latent (RAE-GP), estimated without bias as |J^T v|^2, v ~ N(0, I), one draw
    an image. `none`: it is 0 (RAE; with `model.decoder.weight_norm=spectral` RAE-SN; with latent=0 an autoencoder).

    Reference: Ghosh et al., "From Variational to Deterministic Autoencoders" (2020), equations 11 to 13.

    Args:
        regulariser: `none`, `weights` or `gradient`.
        weight: Its weight, lambda of the paper; not negative.
        latent: The weight of the latents' size, beta of the paper; not negative.

    Raises:
        ValueError: an argument is out of range.
    """

    deterministic: ClassVar[bool] = True

    def __init__(self, regulariser: str = "none", weight: float = 1e-3, latent: float = 1.0) -> None:
        if regulariser not in REGULARISERS:
            raise ValueError(f"regulariser must be one of {', '.join(REGULARISERS)}, got {regulariser!r}")
        for name, value in (("weight", weight), ("latent", latent)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        self.regulariser, self.weight, self.latent = regulariser, weight, latent

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """Check that the posterior is a single latent; ValueError where it is not."""
        if not posterior.deterministic:
            rule = "deterministic for bound Regularised, which would leave no noise in it"
            raise ValueError(f"posterior must be {rule}, got {type(posterior).__name__}")

    def draw(self, noise: Noise, prior: Draw, image: Tensor, outputs: int) -> dict[str, Tensor]:
        """What the Jacobian is looked at through."""
        return {"bound/probe": noise.normal(outputs, *image.shape[2:])} if self.regulariser == "gradient" else {}

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The loss (B,), half the squared `size` of the latents (B,), and R (B,) by its name."""
        size = evidence.latent[:, 0].square().sum(1) / 2
        loss, terms = evidence.reconstruction.mean(1) + beta * self.latent * size, {"size": size}
        if self.regulariser != "none":
            terms[self.regulariser] = self._regulariser(evidence).expand_as(loss)
            loss = loss + beta * self.weight * terms[self.regulariser]
        return {"loss": loss, **terms}

    def _regulariser(self, evidence: Evidence) -> Tensor:
        if self.regulariser == "weights":
            return torch.stack([weight.square().sum() for weight in evidence.decoder.parameters()]).sum()
        seen = (evidence.raw * evidence.noise["bound/probe"]).sum()
        (gradient,) = torch.autograd.grad(seen, evidence.drawn, create_graph=True)
        return gradient.square().sum(1)
