"""How coloured shapes are drawn: five factors with 960 combinations, and the share of a pixel that is covered."""

import math

import torch
from torch import Tensor

FACTORS: dict[str, tuple[str, ...]] = {
    "shape": ("circle", "square", "triangle", "cross"),
    "colour": ("red", "green", "blue", "yellow", "magenta", "cyan"),
    "size": ("small", "large"),
    "position": ("centre", "top left", "top right", "bottom left", "bottom right"),
    "background": ("black", "grey", "white", "brown"),
}
MODES = math.prod(len(levels) for levels in FACTORS.values())
COLOURS = torch.tensor([[220, 40, 40], [40, 170, 60], [50, 80, 220], [240, 210, 50], [210, 60, 200], [60, 200, 210]])
"""Red, green and blue (6, 3) of every colour, 0 to 255."""
GROUNDS = torch.tensor([[0, 0, 0], [128, 128, 128], [255, 255, 255], [100, 64, 26]])
"""Red, green and blue (4, 3) of every background, 0 to 255."""
RADII = torch.tensor([0.22, 0.4])
"""Radius (2,) of every size in half picture widths."""
CENTRES = 0.45 * torch.tensor([[0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]])
"""Centre (5, 2) of every position in half picture widths, to the right and down from the middle."""


def factor_levels(mode: Tensor) -> dict[str, Tensor]:
    """Split mode numbers (B,) in [0, 960) into the level of every factor, (B,) each."""
    levels = {}
    for name in reversed(FACTORS):
        levels[name], mode = mode % len(FACTORS[name]), mode // len(FACTORS[name])
    return {name: levels[name] for name in FACTORS}


def draw_shapes(mode: Tensor, image_size: int, shift: Tensor | None = None, growth: Tensor | None = None) -> Tensor:
    """Draw antialiased pictures of the given modes.

    A pixel's coverage is clip(1/2 - d, 0, 1), where d is the signed distance of its centre to the outline in pixels.

    Args:
        mode: Mode numbers (B,) in [0, 960).
        image_size: Pixels a side.
        shift: Added to the centre, (B, 2) in half picture widths; none by default.
        growth: Added to the radius, (B,) in half picture widths; none by default.

    Returns:
        (B, 3, image_size, image_size) uint8.
    """
    levels = factor_levels(mode)
    centre = CENTRES[levels["position"]] + (0 if shift is None else shift)
    radius = RADII[levels["size"]] + (0 if growth is None else growth)
    covered = coverage(levels["shape"], centre, radius, image_size)[:, None]
    colour = COLOURS[levels["colour"]].float().reshape(-1, 3, 1, 1)
    ground = GROUNDS[levels["background"]].float().reshape(-1, 3, 1, 1)
    return (ground + covered * (colour - ground)).round().to(torch.uint8)


def coverage(shape: Tensor, centre: Tensor, radius: Tensor, image_size: int) -> Tensor:
    """The share (B, image_size, image_size) of every pixel that a shape covers.

    Args:
        shape: Levels (B,) of the factor `shape`.
        centre: Centres (B, 2) in half picture widths, to the right and down from the middle.
        radius: Radii (B,) in half picture widths.
        image_size: Pixels a side.
    """
    line = (torch.arange(image_size) + 0.5) * (2 / image_size) - 1
    radius = radius.reshape(-1, 1, 1)
    x, y = line - centre[:, 0].reshape(-1, 1, 1), line[:, None] - centre[:, 1].reshape(-1, 1, 1)
    x, y = torch.broadcast_tensors(x, y)
    distance = torch.empty_like(x)
    for level, outline in enumerate((_circle, _square, _triangle, _cross)):
        chosen = shape == level
        distance[chosen] = outline(x[chosen], y[chosen], radius[chosen])
    return (0.5 - distance * image_size / 2).clamp(0, 1)


def _circle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return torch.hypot(x, y) - radius


def _square(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.85 * radius


def _triangle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Equilateral, its tip up and its corners on the circle of `radius`."""
    sides = 0.5 * math.sqrt(3) * x.abs() - 0.5 * y
    return torch.maximum(sides, y) - 0.5 * radius


def _cross(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    x, y = x.abs(), y.abs()
    upright = torch.maximum(x - 0.3 * radius, y - radius)
    level = torch.maximum(x - radius, y - 0.3 * radius)
    return torch.minimum(upright, level)
