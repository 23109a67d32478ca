"""Networks that give the parameters of a flow's layers: zero at the start, so that a layer begins as the identity."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ReadsVectors, ToldBy
from genexp.networks.made import MaskedLinear
from genexp.networks.mlp import hidden_layers

CONTEXT = "context"
"""What a layer is told beside the conditions of its model: features of an encoder, or the image that noise is for."""


class Told(ReadsVectors):
    """A network told a class and further conditions, each as a vector that is added to its first features.

    Args:
        features: Size of the vector.
        num_classes: Number of classes, or None.
        told: What makes a vector of a further condition, by its name.
        context: Features of the context, 0 for none.
    """

    def __init__(
        self,
        features: int,
        num_classes: int | None,
        told: ToldBy | None,
        context: int,
    ) -> None:
        super().__init__(features, num_classes, told)
        self.context = context

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return (*ReadsVectors.reads.fget(self), *((CONTEXT,) if self.context else ()))


class MLPConditioner(Told):
    """Samples of any shape to `outputs` numbers for every value, through fully connected layers.

    `num_classes` and `told` are those of `Told`.

    Args:
        shape: Of a sample.
        outputs: Numbers a value.
        width: Units of a hidden layer.
        depth: Hidden layers, at least 1.
        activation: `relu`, `leaky_relu` or `tanh`.
        context: Size of the vector told as `context`, 0 for none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        width: int = 64,
        depth: int = 2,
        activation: str = "relu",
        num_classes: int | None = None,
        told: ToldBy | None = None,
        context: int = 0,
    ) -> None:
        super().__init__(width, num_classes, told, context)
        self.shape, self.outputs = tuple(shape), outputs
        first, *others = hidden_layers(prod(shape) + context, width, depth, activation)
        self.first, self.others = first, nn.Sequential(*others)
        self.last = zeroed(nn.Linear(width, outputs * prod(shape)))

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Samples (B, *shape) to (B, outputs, *shape)."""
        added, rows = self.vectors(condition), x.flatten(1)
        h = self.first(torch.cat([rows, condition[CONTEXT]], 1) if self.context else rows)
        return self.last(self.others(sum(added, h))).unflatten(1, (self.outputs, *self.shape))


class MaskedConditioner(Told):
    """Vectors to `outputs` numbers for every entry, each of the entries before it alone; told what is beside them.

    A hidden unit of degree m sees the first m entries, and the numbers of entry i are of units up to degree i. Degrees
    are spread evenly, so that nothing is drawn. `num_classes` and `told` are those of `Told`.

    Reference: Germain et al., "MADE: Masked Autoencoder for Distribution Estimation" (2015), sections 3 and 4.

    Args:
        shape: (D,) of a vector.
        outputs: Numbers an entry.
        width: Units of a hidden layer.
        depth: Hidden layers, at least 1.
        context: Size of the vector told as `context`, 0 for none.

    Raises:
        ValueError: `shape` is none of a vector, or a size is below 1.
    """

    of_earlier = True

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        width: int = 64,
        depth: int = 2,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        context: int = 0,
    ) -> None:
        if len(shape) != 1:
            raise ValueError(f"transform must have network=masked over vectors alone, got {list(shape)}")
        if width < 1 or depth < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        super().__init__(width, num_classes, told, context)
        self.outputs, entries = outputs, torch.arange(shape[0])
        degrees = torch.arange(width) * shape[0] // width
        self.beside = nn.Linear(context, width, bias=False) if context else None
        self.hidden = nn.ModuleList([MaskedLinear(entries[None] < degrees[:, None])])
        self.hidden.extend(MaskedLinear(degrees[None] <= degrees[:, None]) for _ in range(depth - 1))
        self.last = zeroed(MaskedLinear(degrees[None] <= entries.repeat(outputs)[:, None]))

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Vectors (B, D) to (B, outputs, D)."""
        added = self.vectors(condition)
        if self.beside is not None:
            added = [*added, self.beside(condition[CONTEXT])]
        h = x
        for layer in self.hidden:
            h = relu(sum(added, layer(h)))
        return self.last(h).unflatten(1, (self.outputs, -1))


class ConvConditioner(Told):
    """Images to `outputs` numbers for every value: 3 x 3, residual blocks, 1 x 1, 3 x 3 convolutions.

    With no blocks it is the network of Glow, with some that of RealNVP but for its batch norm. `num_classes` and `told`
    are those of `Told`.

    References: Kingma and Dhariwal, "Glow" (2018), section 3.3; Dinh, Sohl-Dickstein and Bengio, "Density Estimation
    using Real NVP" (2017), section 3.7.

    Args:
        shape: Of an image (C, H, W).
        outputs: Numbers a value.
        width: Features.
        depth: Residual blocks, at least 0.
        context: Channels of the image told as `context`, of the same height and width; 0 for none.

    Raises:
        ValueError: `shape` is none of an image, or a size is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        width: int = 64,
        depth: int = 1,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        context: int = 0,
    ) -> None:
        if len(shape) != 3:
            raise ValueError(f"transform must have network=mlp in its layers over vectors, got conv for {list(shape)}")
        if width < 1 or depth < 0:
            raise ValueError(f"width must be at least 1 and depth at least 0, got {width} and {depth}")
        super().__init__(width, num_classes, told, context)
        self.outputs = outputs
        self.first = nn.Conv2d(shape[0] + context, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.hidden = nn.Conv2d(width, width, 1)
        self.last = zeroed(nn.Conv2d(width, outputs * shape[0], 3, padding=1))

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) to (B, outputs, C, H, W)."""
        added = self.vectors(condition)
        h = self.first(torch.cat([x, condition[CONTEXT].to(x.dtype)], 1) if self.context else x)
        for each in added:
            h = h + each[:, :, None, None]
        for block in self.blocks:
            h = h + block(h)
        return self.last(relu(self.hidden(relu(h)))).unflatten(1, (self.outputs, -1))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.across, self.back = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.back(relu(self.across(relu(features))))


def zeroed(layer: nn.Linear | nn.Conv2d | MaskedLinear) -> nn.Module:
    """The layer with weights and bias of 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
