"""Fully connected generator, discriminator and denoiser, for points and tiny images."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ReadsBeside, ToldBy, vectors_of
from genexp.networks.discriminator import Discriminator
from genexp.networks.packing import packed
from genexp.networks.told import ToldNetwork

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh}


class MLPGenerator(ReadsBeside):
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
        told: What makes a vector of a further condition, which is concatenated too, by its name.
        orthogonal: Gain of orthogonal initial weights with zero biases; None to begin as PyTorch's layers do.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_size: int = 64,
        width: int = 256,
        depth: int = 3,
        activation: str = "relu",
        num_classes: int | None = None,
        told: ToldBy | None = None,
        orthogonal: float | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.shape = tuple(shape)
        self.latent_shape = (latent_size,)
        inputs = latent_size + self._tell(latent_size, told)
        self.body = nn.Sequential(*hidden_layers(inputs, width, depth, activation))
        self.output = nn.Linear(width, prod(self.shape))
        begin_orthogonal(self.body, self.output, gain=orthogonal)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) and a condition to samples (B, *shape)."""
        sample = self.output(self.body(self.beside(latent, condition))).unflatten(1, self.shape)
        return sample.tanh() if len(self.shape) == 3 else sample


class MLPDiscriminator(Discriminator):
    """Samples of any shape to scores through `depth` hidden layers.

    Args:
        shape: Shape of one sample.
        width: Units of every hidden layer.
        depth: Number of hidden layers, at least 1.
        activation: `relu`, `leaky_relu` or `tanh`.
        norm: `none`, or `spectral` to divide every weight by its largest singular value.
        num_classes: Number of classes; None for an unconditional discriminator.
        orthogonal: Gain of orthogonal initial weights with zero biases; None to begin as PyTorch's layers do.
        input_scale: Factor of what the first layer sees of a sample.
        settings: Everything else that a `Discriminator` takes; with `conditioning` `concat` a vector of each condition,
            of size `width`, stands beside the sample.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 256,
        depth: int = 3,
        activation: str = "leaky_relu",
        norm: str = "none",
        num_classes: int | None = None,
        orthogonal: float | None = None,
        input_scale: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(num_classes, **settings)
        self.input_scale = input_scale
        if norm not in ("none", "spectral"):
            raise ValueError(f"norm must be one of none, spectral, got {norm!r}")
        inputs = self.pack * prod(shape) + width * self.count_beside
        self.body = nn.Sequential(*hidden_layers(inputs, width, depth, activation))
        self._judge_by(width)
        self.beside = self._tell(width) if self.concatenated else None
        begin_orthogonal(self.body, self.output, gain=orthogonal)
        if norm == "spectral":
            for module in list(self.modules()):
                if isinstance(module, nn.Linear | nn.Embedding):
                    spectral_norm(module)

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Samples (B, *shape) and what they are told to features (B, width), of packs (ceil(B / n), width)."""
        rows = packed(image.flatten(1) * self.input_scale, self.pack)
        told = vectors_of(condition, self.beside, self.told) if self.concatenated else []
        return self.body(torch.cat([rows, *told], 1))


class MLPDenoiser(ToldNetwork):
    """Noisy samples of any shape, told the time and the class, to outputs of the same shape.

    Every block adds to its input h: h + outer(silu(inner(silu(h)) + linear(silu(embedding)))), where the embedding is
    that of the time plus that of the class. The sums have no normalisation: it would take away how far out a point is.
    `num_classes`, `self_conditioned` and `told` are those of every `ToldNetwork`.

    Reference: the residual block of He et al., "Identity Mappings in Deep Residual Networks" (2016), without
    normalisation.

    Args:
        shape: Shape of one sample.
        width: Units of every layer; even and at least 4.
        depth: Number of residual blocks, at least 1.
        outputs: Samples in the output, side by side on the first axis; 2 for a learned variance.

    Raises:
        ValueError: `depth` is below 1, or `width` is odd or below 4.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 128,
        depth: int = 3,
        num_classes: int | None = None,
        outputs: int = 1,
        self_conditioned: bool = False,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(width, width, num_classes, told, self_conditioned=self_conditioned)
        if depth < 1:
            raise ValueError(f"depth must be at least 1 residual block, got {depth}")
        self.shape, self.outputs = tuple(shape), outputs
        self.stem = nn.Linear(prod(self.shape) * (1 + self_conditioned), width)
        self.blocks = nn.ModuleList(_DenoiserBlock(width) for _ in range(depth))
        self.head = nn.Linear(width, outputs * prod(self.shape))

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Noisy samples (B, *shape), times (B,) and labels (B,) to outputs (B, outputs * shape[0], *shape[1:]).

        Raises:
            ValueError: the samples have another shape, or labels are given or missing against `num_classes`.
        """
        embedding = self.embedded(t, condition)
        if tuple(x_t.shape[1:]) != self.shape:
            raise ValueError(f"x_t must hold samples of shape {self.shape}, got {tuple(x_t.shape[1:])}")
        h = self.stem(self.seen(x_t, condition).flatten(1))
        for block in self.blocks:
            h = block(h, embedding)
        return self.head(F.silu(h)).unflatten(1, (self.outputs * self.shape[0], *self.shape[1:]))


class _DenoiserBlock(nn.Module):
    """Two linear layers around a shortcut, with an embedding added between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.embedding = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        return h + self.outer(F.silu(self.inner(F.silu(h)) + self.embedding(F.silu(embedding))))


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


def begin_orthogonal(*parts: nn.Module, gain: float | None) -> None:
    """Give every linear layer `gain` times a matrix of orthonormal rows or columns, and no bias; None leaves all.

    Reference: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (2014).

    Raises:
        ValueError: `gain` is not above 0.
    """
    if gain is None:
        return
    if gain <= 0:
        raise ValueError(f"orthogonal must be a gain above 0, or null, got {gain}")
    for layer in nn.ModuleList(parts).modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
