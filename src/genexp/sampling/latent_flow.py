"""Sampling latents from a masked autoregressive flow that is fitted to the encoded training images after training."""

from functools import partial

from torch import Tensor, nn

from genexp.flows.composed import Vector
from genexp.flows.elementwise import Affine
from genexp.flows.masked_autoregressive import MaskedAutoregressive
from genexp.networks.conditioners import MaskedConditioner
from genexp.sampling.latent_model import LatentModel
from genexp.tensors import IndexedNoise


class LatentFlow(LatentModel):
    """Latents are f^-1(e), e ~ N(0, I), with f trained on their likelihood; see `LatentModel`.

    `width`, `steps`, `batch_size`, `learning_rate` and `seed` are those of every `LatentModel`.

    References: Papamakarios, Pavlakou and Murray, "Masked Autoregressive Flow for Density Estimation" (2017); Ghosh et
    al., "From Variational to Deterministic Autoencoders" (2020), for densities fitted after training.

    Args:
        depth: Autoregressive layers, the order turned round between them, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        depth: int = 5,
        width: int = 64,
        steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        seed: int = 0,
    ) -> None:
        super().__init__(width, steps, batch_size, learning_rate, seed)
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.depth = depth

    def network(self, size: int) -> Vector:
        """The flow, the identity at the start."""
        given = partial(MaskedConditioner, width=self.width)
        return Vector([size], partial(MaskedAutoregressive, element=Affine(), network=given), depth=self.depth)

    def loss(self, network: nn.Module, latents: Tensor) -> Tensor:
        """The negative log-likelihood, but for a constant."""
        noise, log_det = network(latents)
        return (noise.square().sum(1) / 2 - log_det).mean()

    def drawn(self, network: nn.Module, size: int, noise: IndexedNoise) -> tuple[Tensor, Tensor]:
        """Normal noise, back to latents."""
        if not isinstance(network, Vector):
            raise TypeError(f"network must be a Vector, got {type(network).__name__}")
        normal = noise.normal(size)
        return network.inverse(normal.cpu())[0], normal
