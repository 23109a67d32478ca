"""A trained model of one picture, used on pictures of any size: in tiles, in colour, at the levels of a file."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genexp.colours import luminance, with_luminance
from genexp.conditioning.bicubic import resized
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.pictures import OfPictures
from genexp.contracts import LatentDecoder, Progress
from genexp.contracts.generating import HasGenerator
from genexp.contracts.restoring import LocalNetwork
from genexp.restoration.tiles import Blend, cut, squares, tiles
from genexp.tensors import IndexedNoise, to_float, to_uint8

_BICUBIC_REACH = 4


@dataclass(frozen=True)
class Restorer:
    """What makes large pictures of pictures.

    A network that says how far it looks (`LocalNetwork`) is given tiles with so much around them, and what is made of
    the surroundings is cut away: in tiles it makes what it makes of the whole picture. Any other is given squares of
    the size that it was trained on, which overlap by a quarter and are blended.

    A model of grey images makes the luminance of a colour picture, whose chroma is enlarged by the bicubic filter, as
    papers show it; where nothing is enlarged, red, green and blue are restored one by one.

    Args:
        model: Makes images of latents and one picture; in evaluation mode.
        seed: Seed of its latent, the same in all tiles.

    Raises:
        TypeError: it is no such model.
    """

    model: LatentDecoder
    seed: int = 0

    def __post_init__(self) -> None:
        told = self.model.conditioning if isinstance(self.model, LatentDecoder) else None
        if told is None or len(told.names) != 1 or not told.pictures:
            what = type(self.model).__name__ if told is None else f"one that is told {told}"
            raise TypeError(f"a picture is restored by a model that is told one picture and nothing else, got {what}")
        if self.kind.row != self.kind.picture:
            raise TypeError("a picture is restored by a model that is told no more than it, got one with noise")

    @property
    def name(self) -> str:
        """Name of the picture among the model's conditions."""
        return self.model.conditioning.names[0]

    @property
    def kind(self) -> OfPictures:
        """What the picture looks like in training."""
        return self.model.conditioning.pictures[self.name]

    @property
    def degradation(self) -> Degraded | None:
        """What makes the picture of an image, where it is made."""
        return self.kind if isinstance(self.kind, Degraded) else None

    @property
    def scale(self) -> int:
        """Side of an image in sides of its picture."""
        return 1 if self.degradation is None else self.degradation.shape[-1] // self.kind.picture[-1]

    @cached_property
    def local(self) -> LocalNetwork | None:
        """The network, where it says how far it looks."""
        generator = self.model.generator if isinstance(self.model, HasGenerator) else None
        return generator if isinstance(generator, LocalNetwork) else None

    @property
    def reach(self) -> int:
        """Pixels around a tile that are looked at with it; 0 for a network of squares of one size."""
        return 0 if self.local is None else max(self.local.reach, _BICUBIC_REACH)

    @torch.inference_mode()
    def image(self, picture: Tensor) -> Tensor:
        """Images (B, C', scale h, scale w) in [-1, 1] of pictures (B, C, h, w) as the model takes them."""
        latent = IndexedNoise(self.seed, [0], picture.device).normal(*self.model.latent_shape)
        return self.model.decode(latent.expand(len(picture), *latent.shape[1:]), {self.name: picture}).clamp(-1, 1)

    def coloured(self, picture: Tensor) -> Tensor:
        """Images (1, 1 or 3, scale h, scale w) of a grey or RGB picture (1, 1 or 3, h, w)."""
        wanted, given = self.kind.picture[0], picture.shape[1]
        if wanted == given:
            return self.image(picture)
        if wanted == 3:
            return luminance(self.image(picture.expand(-1, 3, -1, -1)))
        if self._makes_colours:
            return self.image(luminance(picture))
        if self.scale == 1:
            return self.image(picture.transpose(0, 1)).transpose(0, 1)
        return with_luminance(resized(picture, self.scale), self.image(luminance(picture))).clamp(-1, 1)

    @property
    def _makes_colours(self) -> bool:
        return self.degradation is not None and self.degradation.shape[0] == 3

    def __call__(self, picture: Tensor, tile: int | None = None, progress: Progress | None = None) -> Tensor:
        """A restored picture (C', scale H, scale W) uint8, on the CPU.

        Args:
            picture: The picture (C, H, W) uint8, grey or RGB.
            tile: Side of a tile in pixels of the picture, for a network that says how far it looks; None for the whole
                picture at once. Memory beyond the two pictures is bounded by it.
            progress: Called as progress(done, total) after every part.

        Raises:
            ValueError: an image is not finite.
        """
        progress = progress or (lambda done, total: None)
        if self.local is None:
            return to_uint8(self._blended(picture, progress))
        return self._tiled(picture, tile, progress)

    def floats(self, picture: Tensor, tile: int | None = None) -> Tensor:
        """The same of one picture (1, C, H, W) in [-1, 1], (1, C', scale H, scale W) in [-1, 1] and not rounded."""
        if self.local is None:
            return self._blended(picture[0], lambda done, total: None)[None]
        return self._tiled(picture[0], tile, lambda done, total: None)[None]

    def _tiled(self, picture: Tensor, tile: int | None, progress: Progress) -> Tensor:
        """Of a picture (C, H, W) what is made of it, in numbers of the same kind."""
        height, width = picture.shape[1:]
        multiple = 1 if self.local is None else self.local.multiple
        parts = tiles(height, width, tile or max(height, width), self.reach, multiple)
        scale, made = self.scale, None
        for number, (seen, inner) in enumerate(parts):
            image = self._made(cut(picture, seen))
            image = image if picture.is_floating_point() else to_uint8(image)
            if made is None:
                made = image.new_empty(len(image), scale * height, scale * width)
            top, left, bottom, right = (scale * each for each in inner)
            down, across = top - scale * seen.top, left - scale * seen.left
            made[:, top:bottom, left:right] = image[:, down : down + bottom - top, across : across + right - left]
            progress(number + 1, len(parts))
        return made

    def _blended(self, picture: Tensor, progress: Progress) -> Tensor:
        """Of a picture (C, H, W) what is made of it in squares, in [-1, 1]."""
        (height, width), side, scale = picture.shape[1:], self.kind.picture[-1], self.scale
        parts, made = squares(height, width, side), Blend(scale * height, scale * width, scale * side)
        for number, box in enumerate(parts):
            made.lay(self._made(cut(picture, box)), scale * box.top, scale * box.left)
            progress(number + 1, len(parts))
        return made.image()

    def _made(self, part: Tensor) -> Tensor:
        """The image (C', h, w) of a part (1, C, h, w) of a picture, on the CPU."""
        device = next(self.model.parameters()).device
        part = part if part.is_floating_point() else to_float(part)
        image = self.coloured(part.to(device))[0].cpu()
        if not image.isfinite().all():
            raise ValueError("images must be finite, got NaN or infinity from the model")
        return image
