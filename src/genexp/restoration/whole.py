"""Whole pictures degraded, restored and held against themselves, by the protocol of super-resolution."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from genexp.colours import luminance, studio_luminance
from genexp.conditioning.bicubic import resized
from genexp.conditioning.chance import OfContent
from genexp.losses.structural_similarity import WINDOW, structural_similarity
from genexp.restoration.restorer import Restorer
from genexp.tensors import to_float, to_uint8


class PictureScores(NamedTuple):
    """How near an image comes to the real picture.

    Attributes:
        psnr_y: Decibels of the luminance in whole levels.
        ssim_y: SSIM of it; NaN of pictures smaller than its window.
        psnr_rgb: Decibels of the colours at 8 bits; NaN of grey images.
    """

    psnr_y: float
    ssim_y: float
    psnr_rgb: float


@dataclass(frozen=True)
class RestoredPicture:
    """A picture that was degraded and restored.

    Attributes:
        degraded: What the model was given (C, h, w) uint8.
        restored: What it made of it (C', H, W) uint8.
        ours: How near that comes.
        plain: How near the degraded picture itself comes, enlarged by the bicubic filter.
    """

    degraded: Tensor
    restored: Tensor
    ours: PictureScores
    plain: PictureScores


def tried(
    restorer: Restorer,
    picture: Tensor,
    tile: int | None = None,
    border: int | None = None,
    in_colour: bool = False,
) -> RestoredPicture:
    """Degrade a picture as in training, restore it, and measure.

    What is random in the degradation depends on the picture alone. Sides are cut to multiples of the scale.

    Args:
        restorer: A model whose pictures a degradation makes.
        picture: The picture (1 or 3, H, W) uint8.
        tile: Side of a tile, see `Restorer`.
        border: Pixels that are not measured at every side; None for the scale, 0 where nothing is enlarged.
        in_colour: Whether a colour picture stays one where the model makes grey images; else its luminance is degraded,
            restored and measured, as papers do.
    """
    kind, scale = restorer.degradation, restorer.scale
    height, width = (size - size % scale for size in picture.shape[1:])
    real = to_float(picture[None, :, :height, :width])
    image = real
    if real.shape[1] > kind.shape[0] and not in_colour:
        image = luminance(real)
    elif real.shape[1] < kind.shape[0]:
        image = real.expand(-1, 3, -1, -1)
    degraded = kind.of(image, OfContent(image))
    made = restorer.floats(degraded, tile)
    plain = resized(degraded, scale) if scale > 1 else degraded
    border = border_of(border, scale)
    ours, theirs = (closeness(each, real, border) for each in (made, plain))
    return RestoredPicture(to_uint8(degraded[0]), to_uint8(made[0]), ours, theirs)


def border_of(asked: int | None, scale: int) -> int:
    """Pixels that are not measured at every side: those that were asked for, or the scale, and none at scale 1."""
    return asked if asked is not None else scale * (scale > 1)


def least_side(scale: int, border: int | None = None) -> int:
    """The least side of a picture of which `tried` measures something: whole pixels within the border."""
    return scale * (2 * border_of(border, scale) // scale + 1)


def closeness(image: Tensor, real: Tensor, border: int) -> PictureScores:
    """How near an image (1, 1 or 3, H, W) in [-1, 1] comes to a picture (1, 1 or 3, H, W) of 8 bits.

    Luminance is that of `studio_luminance`, in whole levels, of which 255 is the peak; of a grey picture it is its own
    levels, as the published code has it. A colour image is brought to 8 bits first; the luminance of a grey one is
    rounded once, as papers measure networks of the luminance.

    Args:
        image: The image.
        real: The picture.
        border: Pixels that are not measured at every side.

    Raises:
        ValueError: nothing is left within the border.
    """
    height, width = image.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ValueError(f"border must leave something of a picture of {width} x {height} pixels, got {border}")
    inside = slice(border, height - border), slice(border, width - border)
    image, real = image[(..., *inside)], real[(..., *inside)]
    rgb = float("nan")
    if image.shape[1] == 3:
        image = to_float(to_uint8(image))
    if image.shape[1] == real.shape[1] == 3:
        rgb = psnr((image.double() - real.double()) * 127.5)
    if real.shape[1] == 1:
        image = luminance(image) if image.shape[1] == 3 else image
        ours, theirs = ((each.double().clamp(-1, 1) + 1).mul(127.5).round() for each in (image, real))
    else:
        ours, theirs = studio_luminance(image), studio_luminance(real)
    similar = float("nan")
    if min(image.shape[-2:]) >= WINDOW:
        similar = float(structural_similarity(ours / 127.5 - 1, theirs / 127.5 - 1)[0])
    return PictureScores(psnr(ours - theirs), similar, rgb)


def psnr(difference: Tensor) -> float:
    """Decibels of differences in levels of 255; infinite where there are none."""
    return float(10 * (255**2 / difference.double().square().mean()).log10())
