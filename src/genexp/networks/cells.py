"""Cells of hierarchical autoencoders."""

import torch
from torch import Tensor, nn

from genexp.networks.blocks import group_norm

CELLS = ("bottleneck", "depthwise")


class Cell(nn.Module):
    """A residual branch, or a map to other features where these differ; weights begin by He's rule.

    `bottleneck`: 1x1, two 3x3 and 1x1 convolutions after GELUs, without norms, as in VD-VAE. `depthwise`: norm, 1x1 to
    `expand` times the features, depthwise 5x5, 1x1, then squeeze and excitation, with group norms in place of NVAE's
    batch norms.

    References: Child (2021), figure 3; Vahdat and Kautz (2020), section 3.1.1.

    Args:
        before: Features that come in.
        after: Features that go out.
        kind: `bottleneck` or `depthwise`.
        small: 1 x 1 in place of larger kernels, for maps of one or two places.
        scale: Of the last layer's initial weights; 0 for a branch that adds nothing at the start.
        expand: Of `depthwise`.

    Raises:
        ValueError: `kind` is unknown.
    """

    def __init__(
        self, before: int, after: int, kind: str, small: bool = False, scale: float = 1.0, expand: int = 3
    ) -> None:
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {kind!r}")
        self.body = (
            _bottleneck(before, after, small) if kind == "bottleneck" else _depthwise(before, after, small, expand)
        )
        layers = [layer for layer in self.body if isinstance(layer, nn.Conv2d)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            layers[-1].weight.mul_(scale)
        self.excite = Excitation(after) if kind == "depthwise" and scale else None

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, before, h, w) to (B, after, h, w)."""
        found = self.body(features)
        return found if self.excite is None else self.excite(found)


def _bottleneck(before: int, after: int, small: bool) -> nn.Sequential:
    middle, side = max(1, before // 4), 1 if small else 3
    return nn.Sequential(
        nn.GELU(),
        nn.Conv2d(before, middle, 1),
        nn.GELU(),
        nn.Conv2d(middle, middle, side, padding=side // 2),
        nn.GELU(),
        nn.Conv2d(middle, middle, side, padding=side // 2),
        nn.GELU(),
        nn.Conv2d(middle, after, 1),
    )


def _depthwise(before: int, after: int, small: bool, expand: int) -> nn.Sequential:
    middle, side = before * expand, 1 if small else 5
    return nn.Sequential(
        group_norm(before),
        nn.Conv2d(before, middle, 1),
        nn.SiLU(),
        nn.Conv2d(middle, middle, side, padding=side // 2, groups=middle),
        group_norm(middle),
        nn.SiLU(),
        nn.Conv2d(middle, after, 1),
    )


class Excitation(nn.Module):
    """Features times a number of (0, 1) each, told by the means of all over the map.

    Reference: Hu, Shen and Sun, "Squeeze-and-Excitation Networks" (2018).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        middle = max(4, width // 16)
        self.layers = nn.Sequential(nn.Linear(width, middle), nn.ReLU(), nn.Linear(middle, width), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w), same shape."""
        return features * self.layers(features.mean((2, 3)))[:, :, None, None]
