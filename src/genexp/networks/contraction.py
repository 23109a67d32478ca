"""A network that brings samples nearer to each other, for residual flows."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ToldBy
from genexp.networks.conditioners import CONTEXT, Told, zeroed


class ContractionMLP(Told):
    """Vectors to `outputs` numbers for every entry; its Lipschitz constant in the vectors is at most `lipschitz`.

    Weights whose largest singular value exceeds the share of their layer are scaled down to it; that value is computed,
    not estimated. Activations are x sigmoid(b x) / 1.1 with a learned b, whose slopes are at most 1. Units of such
    layers are about 1 / sqrt(width) of their vector, so b and the biases begin at that scale. What is told adds a
    vector and changes no slope in the samples. `num_classes` and `told` are those of `Told`.

    References: Behrmann et al., "Invertible Residual Networks" (2019), section 2.1; Chen et al., "Residual Flows"
    (2019), section 3.3 for the activation.

    Args:
        shape: (D,) of a vector.
        outputs: Numbers an entry, 1.
        width: Units of a hidden layer.
        depth: Hidden layers, at least 1.
        lipschitz: Largest Lipschitz constant, in (0, 1).
        context: Size of the vector told as `context`, 0 for none.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        width: int = 64,
        depth: int = 2,
        lipschitz: float = 0.9,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        context: int = 0,
    ) -> None:
        super().__init__(width, num_classes, told, context)
        if len(shape) != 1 or outputs != 1:
            raise ValueError(f"transform must have a contraction in a residual block alone, got {list(shape)}")
        if not 0 < lipschitz < 1:
            raise ValueError(f"lipschitz must lie between 0 and 1, got {lipschitz}")
        if width < 1 or depth < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        self.lipschitz = lipschitz
        sizes = [shape[0], *[width] * depth, shape[0]]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        for layer in self.layers[:-1]:
            nn.init.uniform_(layer.bias, -(width**-0.5), width**-0.5)
        zeroed(self.layers[-1])
        self.log_bend = nn.Parameter(torch.full((depth,), math.log(width) / 2))
        self.beside = nn.Linear(context, width, bias=False) if context else None

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Vectors (B, D) to (B, 1, D)."""
        added = self.vectors(condition)
        if self.beside is not None:
            added = [*added, self.beside(condition[CONTEXT])]
        *hidden, last = self.layers
        h = x
        for layer, bend in zip(hidden, self.log_bend.exp(), strict=True):
            h = sum(added, self._contracted(layer, h))
            h = h * torch.sigmoid(bend * h) / 1.1
        return self._contracted(last, h)[:, None]

    def _contracted(self, layer: nn.Linear, values: Tensor) -> Tensor:
        share = self.lipschitz ** (1 / len(self.layers))
        largest = torch.linalg.matrix_norm(layer.weight, 2)
        return linear(values, layer.weight / (largest / share).clamp(min=1), layer.bias)
