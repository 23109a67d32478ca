"""The networks of a hierarchical autoencoder: a column of features from below, and one of groups from the top."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.networks.blocks import group_norm
from genexp.networks.cells import Cell
from genexp.networks.feature_maps import Double, Halve


class Group(nn.Module):
    """What one group of latents needs.

    Args:
        width: Features.
        size: Z, latents of every place.
        kind: Of the cells.
        small: Whether kernels are 1 x 1.
        scale: Of the initial weights of what is added to the state.
        doubled: Whether the next group has maps twice as large.
    """

    def __init__(self, width: int, size: int, kind: str, small: bool, scale: float, doubled: bool) -> None:
        super().__init__()
        self.width, self.doubled = width, doubled
        self.prior = Cell(width, 2 * size + width, kind, small, 0.0)
        self.posterior = Cell(2 * width, 2 * size, kind, small, 0.0)
        self.latent = nn.Conv2d(size, width, 1)
        self.after = Cell(width, width, kind, small, scale)
        with torch.no_grad():
            self.latent.weight.mul_(scale)


class Ladder(nn.Module):
    """A hierarchy of latents over resolutions that double from the top down to `finest`.

    Features of the image go up by cells and means of 2 x 2 places; the state goes down, repeated where resolutions
    double. Residual branches begin small, by 1 / sqrt(their number), and priors and posteriors at N(0, I).

    References: Vahdat and Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder" (2020); Child, "Very Deep VAEs
    Generalize Autoregressive Models and Can Outperform Them on Images" (2021).

    Args:
        channels: Image channels.
        image_size: Side of the square image.
        groups: Groups of latents at every resolution, the smallest first: [1, 2, 3] has one at a quarter of the finest
            side and three at the finest.
        halvings: The finest side is image_size / 2^halvings.
        latents: Z, latents of every place of a group.
        width: Features.
        depth: Cells of the way up at every resolution.
        cell: `bottleneck` or `depthwise`.

    Raises:
        ValueError: a size is out of range, or the image cannot be halved so often.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        groups: Sequence[int],
        halvings: int = 0,
        latents: int = 4,
        width: int = 32,
        depth: int = 1,
        cell: str = "bottleneck",
    ) -> None:
        super().__init__()
        sides = _sides(image_size, groups, halvings, latents=latents, width=width, depth=depth)
        count, number = sum(groups), 1 / math.sqrt(max(1, sum(groups)))
        self.channels, self.width = channels, width
        self.level = [level for level, each in enumerate(groups) for _ in range(each)]
        self.group_shapes = [(latents, sides[level], sides[level]) for level in self.level]
        small = [side < 3 for side in sides]
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.shrink = nn.ModuleList(Halve(width) for _ in range(halvings))
        self.up = nn.ModuleList(
            nn.ModuleList(Cell(width, width, cell, here, number) for _ in range(depth)) for here in small
        )
        self.top = nn.Parameter(torch.zeros(1, width, sides[0], sides[0]))
        last = [place + 1 < count and self.level[place + 1] > level for place, level in enumerate(self.level)]
        self.groups = nn.ModuleList(
            Group(width, latents, cell, small[level], number, doubled)
            for level, doubled in zip(self.level, last, strict=True)
        )
        self.grow = nn.ModuleList(Double(width) for _ in range(halvings))
        self.norm, self.head = group_norm(width), nn.Conv2d(width, channels, 3, padding=1)

    def give(self, numbers: int) -> None:
        """Return so many numbers of every pixel."""
        if numbers != self.head.out_channels:
            self.head = nn.Conv2d(self.width, numbers, 3, padding=1)

    def features(self, image: Tensor) -> list[Tensor]:
        """What is seen of images (B, C, H, W) for every group, (B, width, h, w)."""
        features, levels = self.stem(image), []
        for layer in self.shrink:
            features = layer(features)
        for level in reversed(range(len(self.up))):
            for cell in self.up[level]:
                features = features + cell(features)
            levels.insert(0, features)
            features = F.avg_pool2d(features, 2) if level else features
        return [levels[level] for level in self.level]

    def start(self, count: int) -> Tensor:
        """The state (count, width, h, w) of the first group."""
        return self.top.expand(count, -1, -1, -1)

    def prior(self, group: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (B, 2 Z, h, w), and the state with what is known beside them."""
        parameters, known = self.groups[group].prior(state).tensor_split([-self.width], 1)
        return parameters, state + known

    def posterior(self, group: int, state: Tensor, features: Tensor) -> Tensor:
        """Means and log-variances (B, 2 Z, h, w)."""
        return self.groups[group].posterior(torch.cat([state, features], 1))

    def absorb(self, group: int, state: Tensor, latent: Tensor) -> Tensor:
        """The state of the next group."""
        part = self.groups[group]
        state = state + part.latent(latent)
        state = state + part.after(state)
        return F.interpolate(state, scale_factor=2.0, mode="nearest") if part.doubled else state

    def output(self, state: Tensor) -> Tensor:
        """Raw values of images (B, C, H, W)."""
        for layer in self.grow:
            state = layer(state)
        return self.head(F.silu(self.norm(state)))


def _sides(image_size: int, groups: Sequence[int], halvings: int, **sizes: int) -> list[int]:
    """The side of every resolution, the smallest first."""
    if not groups or min(groups) < 1:
        raise ValueError(f"groups must be one number a resolution, each at least 1, got {list(groups)}")
    for name, number in sizes.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if sizes["width"] % 4:
        raise ValueError(f"width must be a multiple of 4, got {sizes['width']}")
    if halvings < 0 or image_size % 2**halvings:
        raise ValueError(f"halvings must halve an image of {image_size} pixels exactly, got {halvings}")
    finest, times = image_size // 2**halvings, 2 ** (len(groups) - 1)
    if finest % times:
        most = int(math.log2(finest & -finest)) + 1
        raise ValueError(f"groups must be at most {most} resolutions for a side of {finest}, got {list(groups)}")
    return [finest // 2**level for level in reversed(range(len(groups)))]
