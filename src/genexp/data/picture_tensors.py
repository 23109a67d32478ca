"""From a decoded picture to a uint8 tensor: one stated way of converting, cutting and resizing."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Fit = Literal["crop", "pad", "stretch"]
_RESAMPLING = {name: Image.Resampling[name.upper()] for name in ("nearest", "box", "bilinear", "bicubic", "lanczos")}
_EIGHT_BIT = {"1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"}
_TRANSPARENT = {"LA", "PA", "RGBA", "La", "RGBa"}


@dataclass(frozen=True)
class Preparation:
    """How a decoded picture becomes an image of fixed size.

    Args:
        image_size: Pixels a side of the result.
        channels: 1 converts to grey (ITU-R 601 luma), 3 to RGB; transparent parts show a white ground.
        fit: `crop` cuts the largest central square, `pad` shows the whole picture on black and never enlarges it,
            `stretch` ignores the aspect ratio.
        crop: Cut a central square of so many pixels first; null cuts nothing.
        interpolation: nearest, box, bilinear, bicubic or lanczos, antialiased (Pillow's filters).
        draft: Have JPEG files decoded no larger than needed, see `open_picture`: faster, to other pixels.

    Raises:
        ValueError: an argument is out of range.
    """

    image_size: int
    channels: int = 3
    fit: Fit = "crop"
    crop: int | None = None
    interpolation: str = "bilinear"
    draft: bool = False

    def __post_init__(self) -> None:
        for name, value in (("image_size", self.image_size), ("crop", self.crop)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 pixel, got {value}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), got {self.channels}")
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit must be one of {', '.join(get_args(Fit))}, got {self.fit!r}")
        if self.interpolation not in _RESAMPLING:
            raise ValueError(f"interpolation must be one of {', '.join(_RESAMPLING)}, got {self.interpolation!r}")
        if self.draft and self.crop is not None:
            raise ValueError("draft must be false with crop, which counts pixels of the whole picture, got true")

    @property
    def least(self) -> int | None:
        """Pixels that a decoder must leave both sides of a picture; None for all that there are."""
        return self.image_size if self.draft else None

    def __call__(self, picture: Image.Image) -> Tensor:
        """Convert a picture to uint8 (C, image_size, image_size).

        Raises:
            ValueError: the picture is smaller than `crop`, or has no 8-bit channels.
        """
        picture = with_channels(picture, self.channels)
        if self.crop is not None:
            picture = _central(picture, self.crop)
        size = (self.image_size, self.image_size)
        if self.fit == "crop":
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2  # whole pixels: no needless blur
            picture = self._resized(picture, size, (left, top, left + side, top + side))
        elif self.fit == "stretch":
            picture = self._resized(picture, size, (0, 0, *picture.size))
        else:
            picture = self._padded(picture)
        return to_tensor(picture)

    def _resized(
        self, picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
    ) -> Image.Image:
        if picture.size == size:
            return picture
        return picture.resize(size, _RESAMPLING[self.interpolation], box=box)

    def _padded(self, picture: Image.Image) -> Image.Image:
        scale = min(1.0, self.image_size / max(picture.size))
        width, height = (max(1, round(side * scale)) for side in picture.size)
        shrunk = self._resized(picture, (width, height), (0, 0, *picture.size))
        canvas = Image.new(picture.mode, (self.image_size, self.image_size))
        canvas.paste(shrunk, ((self.image_size - width) // 2, (self.image_size - height) // 2))
        return canvas


def with_channels(picture: Image.Image, channels: int) -> Image.Image:
    """Convert to grey (1) or RGB (3); transparency is laid on white.

    Raises:
        ValueError: the picture's values are not 8 bits a channel.
    """
    mode = {1: "L", 3: "RGB"}[channels]
    if picture.mode == mode and "transparency" not in picture.info:
        return picture
    if picture.mode not in _EIGHT_BIT | _TRANSPARENT:  # first: conversions of other modes cut values off in silence
        raise ValueError(f"its mode is {picture.mode}, not 8 bits a channel")
    if picture.has_transparency_data:
        clear = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    if picture.mode not in ("1", "L"):
        picture = picture.convert("RGB")  # Pillow knows no way from some modes to grey
    return picture.convert(mode)


def to_tensor(picture: Image.Image) -> Tensor:
    """Uint8 tensor (C, H, W) of a grey or RGB picture."""
    array = np.array(picture)
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).contiguous()


def _central(picture: Image.Image, side: int) -> Image.Image:
    if min(picture.size) < side:
        raise ValueError(f"it has {picture.width} x {picture.height} pixels, less than crop={side}")
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((side, side), Image.Resampling.NEAREST, box)  # `crop` would ask Pillow's limit of pixels
