"""How scenes of one or two coloured shapes are drawn, and all 21,400 that there are but for places and jitter."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from genexp.data import shape_pictures
from genexp.data.shape_pictures import COLOURS, RADII, coverage

OF_SHAPES = "shape", "colour", "size"
"""The factors of one shape."""
FACTORS: dict[str, tuple[str, ...]] = {
    "count": ("one", "two"),
    "relation": ("left of", "above"),
    **{name: shape_pictures.FACTORS[name] for name in OF_SHAPES},
    **{f"other_{name}": shape_pictures.FACTORS[name] for name in OF_SHAPES},
    "background": (*shape_pictures.FACTORS["background"], "blue"),
}
"""What there is to say of a scene. Of two shapes the first is the left or the upper one, and `relation` is its own."""
GROUNDS = torch.cat([shape_pictures.GROUNDS, COLOURS[shape_pictures.FACTORS["colour"].index("blue")][None]])
"""Red, green and blue (5, 3) of every background, 0 to 255."""
PLACES = torch.tensor([[0, 0], [-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]])
"""Centres (5, 2) in half picture widths: in the middle, left, right, up and down. One shape lies at any of them."""
OF_RELATION = torch.tensor([[1, 2], [3, 4]])
"""Places (2, 2) of the first and the other shape, by the relation."""
COLOUR_OF_GROUND = {"blue": "blue"}
"""The colour of shapes that a background has, by its name; no shape lies on a background of its colour."""
KINDS = "one", "alike", "related"
"""One shape; two of one colour, shape and size; two whose shapes or colours differ, each on its side of the other."""


@cache
def scenes() -> dict[str, Tensor]:
    """All 21,400 scenes: the level (N,) of every factor, -1 where there is no other shape, and the `kind` (N,)."""
    shape, colour, size, ground = (torch.arange(len(FACTORS[name])) for name in (*OF_SHAPES, "background"))
    one = torch.cartesian_prod(shape, colour, size, ground)
    one = one[~_hidden(one[:, 1], one[:, 3])]
    nothing = one.new_full((len(one),), -1)
    rows = [_rows(0, nothing, one[:, :3], nothing[:, None].expand(-1, 3), one[:, 3])]
    rows += [_rows(1, nothing + 1 + each, one[:, :3], one[:, :3], one[:, 3]) for each in range(2)]
    two = torch.cartesian_prod(torch.arange(2), shape, colour, size, shape, colour, size, ground)
    differs = (two[:, 1:3] != two[:, 4:6]).any(1)
    two = two[differs & ~_hidden(two[:, 2], two[:, 7]) & ~_hidden(two[:, 5], two[:, 7])]
    rows.append(_rows(1, two[:, 0], two[:, 1:4], two[:, 4:7], two[:, 7]))
    kind = torch.cat([torch.full((len(each),), number) for each, number in zip(rows, (0, 1, 1, 2), strict=True)])
    return {**dict(zip(FACTORS, torch.cat(rows).unbind(1), strict=True)), "kind": kind}


def _rows(count: int, relation: Tensor, first: Tensor, other: Tensor, ground: Tensor) -> Tensor:
    return torch.cat([torch.full_like(ground, count)[:, None], relation[:, None], first, other, ground[:, None]], 1)


def hides() -> Tensor:
    """Whether a shape of a colour cannot be seen on a background, (6, 5)."""
    colours, grounds = FACTORS["colour"], FACTORS["background"]
    return torch.tensor([[COLOUR_OF_GROUND.get(ground) == colour for ground in grounds] for colour in colours])


def _hidden(colour: Tensor, ground: Tensor) -> Tensor:
    return hides()[colour, ground]


def draw_scenes(
    levels: Mapping[str, Tensor],
    image_size: int,
    place: Tensor | None = None,
    shift: Tensor | None = None,
    growth: Tensor | None = None,
) -> Tensor:
    """Draw antialiased pictures: ground + coverage x (colour - ground) of each shape, each in its half of the picture.

    Args:
        levels: The level (B,) of every factor of `FACTORS`.
        image_size: Pixels a side.
        place: Which of `PLACES` (B,) one shape has; the middle by default, and without effect on two.
        shift: Added to the centres, (B, 2, 2) in half picture widths, the first shape's first; none by default.
        growth: Added to the radii, (B, 2) in half picture widths; none by default.

    Returns:
        (B, 3, image_size, image_size) uint8.
    """
    two = levels["count"] == 1
    places = OF_RELATION[levels["relation"].clamp(min=0)]
    if place is not None:
        places = torch.where(two[:, None], places, place[:, None])
    else:
        places = places * two[:, None]
    centre = PLACES[places] + (0 if shift is None else shift)
    ground = GROUNDS[levels["background"]].float().reshape(-1, 3, 1, 1)
    image = ground
    for each, prefix in enumerate(("", "other_")):
        shape, colour, size = (levels[prefix + name].clamp(min=0) for name in OF_SHAPES)
        radius = RADII[size] + (0 if growth is None else growth[:, each])
        covered = coverage(shape, centre[:, each], radius, image_size)[:, None]
        covered = covered * (levels[prefix + "shape"] >= 0).reshape(-1, 1, 1, 1)
        image = image + covered * (COLOURS[colour].float().reshape(-1, 3, 1, 1) - ground)
    return image.round().to(torch.uint8)
