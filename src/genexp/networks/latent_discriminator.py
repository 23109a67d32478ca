"""A network that judges latents."""

from itertools import pairwise

from torch import Tensor, nn


class LatentDiscriminator(nn.Module):
    """Fully connected layers from latents (B, D) to logits (B,).

    Args:
        latent_size: Units D.
        width: Units of a hidden layer.
        depth: Hidden layers, at least 1.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(self, latent_size: int, width: int = 256, depth: int = 3) -> None:
        super().__init__()
        for name, value in (("latent_size", latent_size), ("width", width), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.latent_size = latent_size
        sizes = [latent_size, *[width] * depth]
        layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.LeakyReLU(0.2))]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, latent: Tensor) -> Tensor:
        """The logits."""
        return self.layers(latent)[:, 0]
