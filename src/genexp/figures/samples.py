"""Samples as a picture: images in a grid with words beside it, points of the plane in a frame."""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genexp.sample_kinds import SampleKind, kind_of
from genexp.tensors import Grid, Plane, image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture
    from PIL.ImageFont import FreeTypeFont


@dataclass(frozen=True)
class Figure:
    """A plot that is drawn when it is looked at.

    Args:
        plot: Makes a figure of matplotlib.
    """

    plot: Callable[[], "Figure"]


SMALLEST, SMALLEST_WITH_WORDS = 32, 56
"""Pixels that a tile has at least, so that a person can see it, and a word fits above it."""

_PADDING, _GAP, _INK = 2, 6, (28, 29, 31)


def drawn(grid: Grid | Figure) -> Tensor:
    """One uint8 picture (3, H, W) of samples, or a plot as it is.

    Small images are enlarged by whole factors. Words stand in a margin of white above and to the left: every pixel of
    an image stays what it is.
    """
    if isinstance(grid, Figure):
        from genexp.figures.plot_style import house_style, painted

        with house_style():
            return _tensor(painted(grid.plot()))
    samples, kind = grid.samples.detach().float(), kind_of(grid.samples.shape[1:])
    if not kind.pictured:
        return _cloud(samples.cpu(), grid.plane)
    side = samples.shape[-1]
    samples = kind.tiles(samples)
    words = bool(grid.across or grid.down)
    smallest = SMALLEST_WITH_WORDS if words and kind is SampleKind.IMAGES else SMALLEST
    factor = max(1, -(-smallest // side))
    enlarged = samples.repeat_interleave(factor, dim=-1).repeat_interleave(factor, dim=-2)
    tiles = image_grid(enlarged, grid.columns, _PADDING)
    return _with_words(tiles, grid, enlarged.shape[-2:]) if words else tiles


def moments(grid: Grid | Figure) -> list[Tensor]:
    """The frames of a grid of videos, a uint8 picture (3, H, W) each, in a square where it has no words; else none."""
    if isinstance(grid, Figure) or kind_of(grid.samples.shape[1:]) is not SampleKind.VIDEO:
        return []
    columns = grid.columns if grid.across or grid.down else None
    return [drawn(replace(grid, samples=frame, columns=columns)) for frame in grid.samples.unbind(1)]


def _with_words(tiles: Tensor, grid: Grid, size: Sequence[int]) -> Tensor:
    from PIL import Image, ImageDraw

    step_down, step_across = (side + _PADDING for side in size)
    font = _font(12 if size[1] < 96 else 14)
    line = sum(font.getmetrics())
    left = max((round(font.getlength(word)) for word in grid.down), default=0)
    left, top = left + 2 * _GAP if left else 0, line + _GAP if grid.across else 0
    every = 1 + int(max((font.getlength(word) for word in grid.across), default=0) // step_across)
    ends = [left + (n + 0.5) * step_across + font.getlength(word) / 2 for n, word in enumerate(grid.across)][::every]
    width = max(tiles.shape[2] + left, *(round(end) + _GAP for end in ends), 0)
    canvas = Image.new("RGB", (width, tiles.shape[1] + top), "white")
    canvas.paste(Image.fromarray(tiles.movedim(0, -1).contiguous().numpy()), (left, top))
    draw = ImageDraw.Draw(canvas)
    for n, word in enumerate(grid.across):
        if n % every == 0:
            middle = left + _PADDING / 2 + (n + 0.5) * step_across
            draw.text((max(middle, font.getlength(word) / 2), _GAP / 2), word, _INK, font, anchor="ma")
    for n, word in enumerate(grid.down):
        draw.text((left - _GAP, top + _PADDING / 2 + (n + 0.5) * step_down), word, _INK, font, anchor="rm")
    return _tensor(canvas)


@functools.cache
def _font(size: int) -> "FreeTypeFont":
    """The font that matplotlib brings; matplotlib itself is not loaded for it."""
    from PIL import ImageFont

    home = Path(importlib.util.find_spec("matplotlib").origin).parent
    return ImageFont.truetype(home / "mpl-data/fonts/ttf/DejaVuSans.ttf", size)


def _tensor(canvas: "Picture") -> Tensor:
    pixels = torch.frombuffer(bytearray(canvas.tobytes()), dtype=torch.uint8)
    return pixels.reshape(canvas.height, canvas.width, 3).movedim(-1, 0).contiguous()


def _cloud(points: Tensor, plane: Plane | None) -> Tensor:
    """Points in a frame with axes, over the modes they aim at; those outside stand as crosses on the frame.

    Of points of more than two coordinates these are the first two.
    """
    from genexp.figures.plot_style import COLOURS, blank_figure, house_style, painted

    size, points = points.shape[1], points[:, :2]
    known = points.isfinite().all(1)
    plane = plane or Plane(reach=float(points[known].abs().amax()) * 1.05 if known.any() else 1.0)
    outside = known & (points.abs() > plane.reach).any(1)
    parts = ((outside, "outside"), (~known, "not finite"))
    said = ", ".join([f"{len(points):,} points", *(f"{int(n.sum()):,} {word}" for n, word in parts if n.any())])
    said += "" if size == 2 else f", 2 of {size} coordinates"
    with house_style():
        figure, ((axes,),) = blank_figure(4.6, 4.8)
        figure.set_layout_engine("none")  # whatever lies on its edge moves no frame
        axes.set_position((0.12, 0.07, 0.85, 0.85 * 4.6 / 4.8))
        axes.set(xlim=(-plane.reach, plane.reach), ylim=(-plane.reach, plane.reach), aspect="equal")
        axes.spines[["top", "right"]].set_visible(True)
        if plane.target is not None:
            axes.plot(*plane.target[:, :2].T.tolist(), ".", color="#c9ccd1", markersize=2.5, mew=0, zorder=1)
        if plane.centres is not None:
            from matplotlib.patches import Circle

            for centre in plane.centres.tolist():
                axes.add_patch(Circle(centre, plane.radius, fill=False, color=COLOURS[1], linewidth=1, zorder=4))
            said += f"; circles: the {len(plane.centres)} modes"
        axes.plot(*points[known & ~outside].T.tolist(), ".", color=COLOURS[0], markersize=3, mew=0, alpha=0.7, zorder=3)
        edge = points[outside].clamp(-plane.reach, plane.reach)
        axes.plot(*edge.T.tolist(), "x", color=COLOURS[1], markersize=5, clip_on=False, zorder=5)
        axes.set_title(said, fontsize=9)
        return _tensor(painted(figure))
