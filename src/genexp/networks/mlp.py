"""Fully connected generator and discriminator, for points and tiny images."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genexp.networks.labels import require_label

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh}


class MLPGenerator(nn.Module):
    """Latents to samples of any shape through `depth` hidden layers.

    Images, of shape (C, H, W), leave through a tanh; points, of shape (D,), are unbounded.

    Args:
        shape: Shape of one sample.
        latent_size: Size of the latent.
        width: Units of every hidden layer.
        depth: Number of hidden layers, at least 1.
        activation: `relu`, `leaky_relu` or `tanh`.
        num_classes: Number of classes whose embedding, of the size of the latent, is concatenated to it; None for an
            unconditional generator.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_size: int = 64,
        width: int = 256,
        depth: int = 3,
        activation: str = "relu",
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.shape = tuple(shape)
        self.latent_shape = (latent_size,)
        self.embedding = nn.Embedding(num_classes, latent_size) if num_classes else None
        inputs = latent_size * (2 if num_classes else 1)
        self.body = nn.Sequential(*hidden_layers(inputs, width, depth, activation))
        self.output = nn.Linear(width, prod(self.shape))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents (B, latent_size) and labels (B,) to samples (B, *shape)."""
        require_label(label, self.num_classes)
        if self.embedding is not None:
            latent = torch.cat([latent, self.embedding(label)], 1)
        sample = self.output(self.body(latent)).unflatten(1, self.shape)
        return sample.tanh() if len(self.shape) == 3 else sample


class MLPDiscriminator(nn.Module):
    """Samples of any shape to scores through `depth` hidden layers, with a projection of the class if there is one.

    Score: w . phi(x) + b + e(label) . phi(x).

    Reference: Miyato and Koyama, "cGANs with Projection Discriminator" (2018).

    Args:
        shape: Shape of one sample.
        width: Units of every hidden layer.
        depth: Number of hidden layers, at least 1.
        activation: `relu`, `leaky_relu` or `tanh`.
        norm: `none`, or `spectral` to divide every weight by its largest singular value.
        num_classes: Number of classes; None for an unconditional discriminator.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 256,
        depth: int = 3,
        activation: str = "leaky_relu",
        norm: str = "none",
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if norm not in ("none", "spectral"):
            raise ValueError(f"norm must be one of none, spectral, got {norm!r}")
        self.num_classes = num_classes
        self.body = nn.Sequential(*hidden_layers(prod(shape), width, depth, activation))
        self.output = nn.Linear(width, 1)
        self.embedding = nn.Embedding(num_classes, width) if num_classes else None
        if norm == "spectral":
            for module in list(self.modules()):
                if isinstance(module, nn.Linear | nn.Embedding):
                    spectral_norm(module)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples (B, *shape) and labels (B,) to scores (B,)."""
        require_label(label, self.num_classes)
        features = self.body(image.flatten(1))
        score = self.output(features).squeeze(1)
        return score if self.embedding is None else score + (self.embedding(label) * features).sum(1)


def hidden_layers(inputs: int, width: int, depth: int, activation: str) -> list[nn.Module]:
    """`depth` linear layers of `width` units, each followed by its activation.

    Raises:
        ValueError: `depth` is below 1 or `activation` is unknown.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1 hidden layer, got {depth}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else width, width), ACTIVATIONS[activation]()]
    return layers
