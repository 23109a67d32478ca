"""What training of an autoencoder makes small, made of the terms of its evidence: by default the negative bound."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, distributed, nn

from genexp.conditioning.base import Conditioning
from genexp.contracts import Noise
from genexp.latents.evidence import Evidence, Terms
from genexp.latents.posteriors import Posterior
from genexp.latents.priors import Prior
from genexp.ramps import Constant, Ramp

Draw = Callable[[Noise], Tensor]


OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Opponent:
    """A network that is trained in steps of its own, after every step of the autoencoder.

    Args:
        network: Its weights; they are none of the autoencoder's.
        optimizer: Builds its optimiser.
        learning_rate: Factor on its learning rate as a function of images seen.
        observe: Sees the mean terms of every step, and of how many images of all processes it was.
        start: Images of training before its first step.
    """

    network: nn.Module
    optimizer: OptimizerFactory
    learning_rate: Ramp = Constant()
    observe: Callable[[Mapping[str, Tensor], int], None] = lambda means, images: None
    start: int = 0


class Bound(ABC):
    """A loss of every image, made of its evidence. One with weights of its own is a `torch.nn.Module` too."""

    samples: int = 1
    """Latents K that an image has in a step."""

    whole_batches: str | None = None
    """The setting by which a loss is of a whole batch, which cannot be split then; or None."""

    weighs: ClassVar[bool] = True
    """Whether its loss is of log q and log p of the latents even where their divergence has a closed form."""

    deterministic: ClassVar[bool] = False
    """Whether it takes a posterior of a single latent an image."""

    opponent: "Opponent | None" = None
    """A network that is trained against the autoencoder, and how; or None."""

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """Check that it goes with both.

        Raises:
            ValueError: it does not.
        """
        if posterior.deterministic and not self.deterministic:
            rule = f"random for model.bound={type(self).__name__}, whose loss is of log q"
            raise ValueError(f"posterior must be {rule}, got {type(posterior).__name__}")

    def require_told(self, conditioning: Conditioning) -> None:  # noqa: B027, most have no opponent
        """Check that its opponent, if it has one, reads what the model is told.

        Raises:
            ValueError: it reads other conditions.
        """

    def draw(self, noise: Noise, prior: Draw, image: Tensor, outputs: int) -> dict[str, Tensor]:
        """What is random in a loss beside the latents, a row an image, by names that begin with `bound/`.

        Args:
            noise: A row an image.
            prior: Makes latents (B, D) of the prior.
            image: Images (B, C, ...) as the likelihood sees them.
            outputs: Numbers that the decoder returns of a pixel.
        """
        return {}

    @abstractmethod
    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """`loss` (B,) and what of it is worth logging (B,).

        Args:
            evidence: Of a batch.
            beta: Factor on all that is not reconstruction.
            images_seen: Training images before this batch.
        """

    def held_out(self, evidence: Evidence) -> Terms:
        """What it says of held-out images (B,), whatever beta is."""
        return {}

    def opponent_terms(self, evidence: Evidence) -> Terms:
        """`loss` (B,) of the opponent, and what of it is worth logging (B,); nothing of `evidence` has a gradient."""
        raise TypeError(f"{type(self).__name__} has no opponent")


class Elbo(Bound):
    """The evidence lower bound: -log p(x | z) + beta KL(q(z | x) || p(z)).

    References: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014); Kingma et al., "Improved Variational
    Inference with Inverse Autoregressive Flow" (2016), section 4 of the appendix, for free bits.

    Args:
        free_bits: Nats below which the KL of one unit is not reduced any further, or None.
        free_bits_over: Whose KL that is: `image`, that of every image by itself, or `batch`, the mean over the batch.

    Raises:
        ValueError: an argument is out of range.
    """

    weighs = False

    def __init__(self, free_bits: float | None = None, free_bits_over: str = "image") -> None:
        if free_bits is not None and free_bits < 0:
            raise ValueError(f"free_bits must not be negative, got {free_bits}")
        if free_bits_over not in ("image", "batch"):
            raise ValueError(f"free_bits_over must be image or batch, got {free_bits_over!r}")
        self.free_bits, self.over = free_bits, free_bits_over
        if free_bits is not None and free_bits_over == "batch":
            self.whole_batches = "model.free_bits_over=batch"

    def require(self, posterior: Posterior, prior: Prior) -> None:
        """As for every bound; ValueError too where free bits are asked of units that have no divergence each."""
        super().require(posterior, prior)
        if self.free_bits is not None and not (posterior.per_unit and prior.fixed):
            given = f"{type(posterior).__name__} and {type(prior).__name__}"
            rule = f"null where units have no divergence in closed form, as with {given}"
            raise ValueError(f"free_bits must be {rule}, got {self.free_bits}")

    def loss(self, evidence: Evidence, beta: float, images_seen: int) -> Terms:
        """The negative bound (B,)."""
        penalised = evidence.kl
        if self.free_bits is not None and evidence.kl_per_unit is not None:
            penalised = self.beyond_free_bits(evidence.kl_per_unit)
        return {"loss": evidence.reconstruction.mean(1) + beta * penalised}

    def beyond_free_bits(self, kl: Tensor) -> Tensor:
        """The penalised divergence (B,) of every image from that of its units (B, D)."""
        if self.over == "image":
            return kl.clamp(min=self.free_bits).sum(1)
        mean = kl.detach().mean(0)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(mean)
            mean /= distributed.get_world_size()
        return torch.where(mean > self.free_bits, kl, self.free_bits).sum(1)


def require_together(
    posterior: Posterior, prior: Prior, bound: Bound, latent_size: int, free_bits: float | None
) -> None:
    """Check that the parts of a model of `latent_size` units go together.

    Raises:
        ValueError: they do not.
    """
    for name, part in (("posterior", posterior), ("prior", prior)):
        if part.latent_size != latent_size:
            raise ValueError(f"{name} must have latent_size {latent_size} as the model, got {part.latent_size}")
    prior.require(posterior)
    if free_bits is not None and not isinstance(bound, Elbo):
        raise ValueError(f"free_bits must be null with bound {type(bound).__name__}, got {free_bits}")
    bound.require(posterior, prior)
