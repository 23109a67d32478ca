"""MADE: dense layers whose masks let every output see earlier values alone."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ToldBy
from genexp.networks.told_pixels import ToldPixels, require_at_least


class MADE(ToldPixels):
    """Dense layers over the values of an image in their order, masked so that each factor sees those before it.

    A hidden unit of degree m sees the first m values. The outputs of value i are of the units up to degree i and, in a
    layer of their own, of the first i values; both are told class and conditions. Degrees are spread evenly, so that
    nothing is drawn. `shape`, `levels`, `num_classes` and `told` are those of all `ToldPixels`.

    Reference: Germain et al., "MADE: Masked Autoencoder for Distribution Estimation" (2015), sections 3 and 4.1;
    direct connections as in its section 4.

    Args:
        width: Units of a hidden layer.
        depth: Hidden layers.

    Raises:
        ValueError: `shape` is none of an image, or a size is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        width: int = 512,
        depth: int = 2,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(shape, levels, width, num_classes, told)
        require_at_least(1, width=width, depth=depth)
        values = torch.arange(prod(shape))
        hidden = torch.arange(width) * len(values) // width
        outputs = values.repeat_interleave(levels)
        self.hidden = nn.ModuleList([MaskedLinear(values[None] < hidden[:, None])])
        self.hidden.extend(MaskedLinear(hidden[None] <= hidden[:, None]) for _ in range(depth - 1))
        self.last = MaskedLinear(hidden[None] <= outputs[:, None])
        self.direct = MaskedLinear(values[None] < outputs[:, None], bias=False)
        self.direct_told = nn.Linear(width, len(outputs), bias=False) if self.reads else None
        made_zero = [self.last, self.direct, *([] if self.direct_told is None else [self.direct_told])]
        for parameter in (each for layer in made_zero for each in layer.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""
        channels, height, width = self.shape
        vector = self.vector(condition)
        values = image.movedim(1, -1).flatten(1)  # in their order
        units = values
        for layer in self.hidden:
            units = relu(layer(units) + vector)
        logits = self.last(units) + self.direct(values)
        if self.direct_told is not None:
            logits = logits + self.direct_told(vector)
        return logits.unflatten(1, (height, width, channels, self.levels)).permute(0, 4, 3, 1, 2)


class MaskedLinear(nn.Module):
    """A linear layer some of whose weights are left out.

    Args:
        mask: Which are there (outputs, inputs), bool.
        bias: Whether a bias is added.
    """

    def __init__(self, mask: Tensor, bias: bool = True) -> None:
        super().__init__()
        full = nn.Linear(mask.shape[1], mask.shape[0], bias)
        self.weight, self.bias = full.weight, full.bias
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Values (B, inputs) to (B, outputs)."""
        return linear(values, self.weight * self.mask, self.bias)
