"""Sampling latents from a second VAE, which is trained on the encoded training images after training."""

import torch
from torch import Tensor, nn

from genexp.sampling.latent_model import LatentModel
from genexp.tensors import IndexedNoise


class SecondStage(nn.Module):
    """A VAE of vectors (B, D) with as many latent units, one learned deviation, and dense layers.

    Args:
        size: Numbers D of a vector.
        width: Units of a hidden layer.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = (
            nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out))
            for out in (2 * size, size)
        )
        self.log_std = nn.Parameter(torch.zeros(()))

    def forward(self, vectors: Tensor) -> Tensor:
        """The negative bound of vectors (B, D), but for a constant, ()."""
        mean, log_variance = self.encoder(vectors).chunk(2, 1)
        log_variance = log_variance.clamp(-20, 10)
        decoded = self.decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean))
        error = ((vectors - decoded) / self.log_std.exp()).square().sum(1) / 2 + vectors.shape[1] * self.log_std
        kl = (mean.square() + log_variance.expm1() - log_variance).sum(1) / 2
        return (error + kl).mean()


class LatentSecondStage(LatentModel):
    """Latents are g(u) + s e, u and e ~ N(0, I), g the decoder of a second VAE and s its spread; see `LatentModel`.

    Its arguments are those of every `LatentModel`.

    Reference: Dai and Wipf, "Diagnosing and Enhancing VAE Models" (2019), section 4.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        width: int = 256,
        steps: int = 3000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__(width, steps, batch_size, learning_rate, seed)

    def network(self, size: int) -> SecondStage:
        """The second VAE."""
        return SecondStage(size, self.width)

    def loss(self, network: nn.Module, latents: Tensor) -> Tensor:
        """Its negative bound."""
        return network(latents)

    def drawn(self, network: nn.Module, size: int, noise: IndexedNoise) -> tuple[Tensor, Tensor]:
        """A latent of the second VAE, decoded, and its spread."""
        if not isinstance(network, SecondStage):
            raise TypeError(f"network must be a SecondStage, got {type(network).__name__}")
        latent, spread = noise.normal(size), noise.normal(size)
        return network.decoder(latent.cpu()) + network.log_std.exp() * spread.cpu(), latent
