"""Codes as images, whole or in tiles."""

import torch
from torch import Tensor

from genexp.contracts.maps import MapCoder
from genexp.restoration.tiles import Blend, squares, tiles


def in_tiles(coder: MapCoder, maps: Tensor, side: int) -> Tensor:
    """Images (B, c, f h, f w) in [-1, 1] of maps (B, C, h, w), decoded in squares: memory is that of one square.

    A decoder that says how far it looks is given tiles of `side` with so much around them, and what is made of the
    surroundings is cut away: in tiles it makes what it makes of the whole. Of any other, squares of `side` overlap by a
    quarter and are blended, which is near to the whole and not the same.

    Args:
        coder: What decodes.
        maps: Latents.
        side: Of a tile in pixels of the image, a multiple of the coder's factor.

    Raises:
        ValueError: `side` is none.
    """
    factor = coder.factor
    require_tile(side, factor)
    places = side // factor
    if max(maps.shape[2:]) <= places:
        return coder.decode(maps)
    if coder.reach is None:
        return torch.stack([_blended(coder, each, places) for each in maps])
    height, width = maps.shape[2:]
    image = maps.new_empty(0)
    for seen, inner in tiles(height, width, places, coder.reach):
        part = coder.decode(maps[:, :, seen.top : seen.bottom, seen.left : seen.right])
        if not image.numel():
            image = part.new_empty(*part.shape[:2], factor * height, factor * width)
        top, left, bottom, right = (factor * each for each in inner)
        down, across = top - factor * seen.top, left - factor * seen.left
        image[:, :, top:bottom, left:right] = part[:, :, down : down + bottom - top, across : across + right - left]
    return image


def require_tile(side: int, factor: int) -> None:
    """Check the side of a part in pixels.

    Raises:
        ValueError: it is no multiple of the codec's factor.
    """
    if side < factor or side % factor:
        raise ValueError(f"tile must be a multiple of {factor} pixels, the factor of the codec, got {side}")


def _blended(coder: MapCoder, maps: Tensor, places: int) -> Tensor:
    """The image (c, f h, f w) of one latent (C, h, w)."""
    height, width = maps.shape[1:]
    places = min(places, height, width)
    made = Blend(coder.factor * height, coder.factor * width, coder.factor * places)
    for box in squares(height, width, places):
        part = coder.decode(maps[None, :, box.top : box.bottom, box.left : box.right])[0]
        made.lay(part.cpu(), coder.factor * box.top, coder.factor * box.left)
    return made.image().to(maps.device)
