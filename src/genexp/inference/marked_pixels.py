"""A watermark in the pixels of a picture: signs of a key on low frequencies, found again without the original.

A picture is read at 256 x 256 pixels, so that sizes do not matter; of its luminance one level of Haar's wavelet leaves
the band LL (128 x 128), and of that the DCT the frequencies (u, v) below 64 of the whole picture. A key gives each of
them a sign. Marking moves coefficients of the wrong sign, or too near 0, to `margin` on the right side, the cheapest
first; the margin is what a change of `strength` allows, which is larger where a picture has structure that hides it.

What is measured is z = sum s_i x_i / |x|, with signs s_i of a key and bounded coefficients x_i. For *any* picture that
does not know the key, P(z >= t) <= exp(-t^2 / 2) over keys (Hoeffding 1963, theorem 2, for sums of random signs): that
bound is the p-value, and no model of pictures is in it. Half of the frequencies carry signs that are the same for
every key, which tells a mark of another key from none.

Reference: Cox et al., "Secure Spread Spectrum Watermarking for Multimedia" (1997); Al-Haj, "Combined DWT-DCT Digital
Image Watermarking" (2007); Miller, Doerr and Cox, "Applying Informed Coding and Embedding" (2004).
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

SIDE, BAND, LEAST_SIDE = 256, 64, 32
"""Pixels a side at which a picture is read, frequencies a side that are marked, and pixels a side that it must have."""
FALSE_POSITIVES = 1e-6
"""Share of pictures without a mark, or with that of another key, that are said to have it."""
_FLAT = 6  # frequencies u + v below which nothing is marked: they are what a picture looks like from afar
_ROUNDS, _HALVINGS = 6, 24
_AROUND, _ROUGH, _LEAST_HIDDEN = 9, 12.0, 0.15  # pixels a side; levels of deviation that hide all; share where flat
_FLOOR = 0.02  # of coefficients in levels: what is smaller was lost when a picture was made small
_PUBLIC = "genexp"
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Found:
    """What a picture says of a key.

    Attributes:
        z: The correlation with the signs of the key, in standard deviations of what chance gives.
        p_value: At most this share of keys agree as well with the picture by chance.
        marked_p_value: The same of the signs that every key shares: whether there is a mark of any key.
    """

    z: float
    p_value: float
    marked_p_value: float


def marked(image: Tensor, key: str, strength: float = 4.0) -> Tensor:
    """A picture with the mark of a key.

    Args:
        image: uint8 picture (C, H, W) of 1 or 3 channels.
        key: Any text that is not empty.
        strength: Root mean square of the change at most, in levels of 255; its PSNR is 20 log10(255 / strength).

    Raises:
        ValueError: the picture is smaller than `LEAST_SIDE`, the key is empty, or the strength is not above 0.
    """
    require_markable(tuple(image.shape[-2:]), key)
    if not strength > 0:
        raise ValueError(f"strength must be above 0, got {strength}")
    height, width = image.shape[-2:]
    signs = _signs(key) * ((torch.arange(BAND) < height)[:, None] & (torch.arange(BAND) < width))
    rows, columns = _cosines(height), _cosines(width)
    original = levels = image.double()
    hidden = _hidden(original)
    for _ in range(_ROUNDS):
        left = strength**2 - float((levels - original).pow(2).mean())
        if left <= 0:
            break
        moves = _moves(_coefficients(levels), signs, left)
        levels = (levels + hidden * (rows.T @ moves @ columns)).clamp(0, 255)
        change = levels - original
        levels = original + change * min(1.0, strength / float(change.pow(2).mean().sqrt().clamp(min=1e-12)))
    return levels.round().to(torch.uint8)


def find(image: Tensor, key: str) -> Found:
    """How well a picture agrees with a key.

    Args:
        image: uint8 picture (C, H, W) of 1 or 3 channels.
        key: The key.

    Raises:
        ValueError: as `marked`.
    """
    require_markable(tuple(image.shape[-2:]), key)
    x, signs, shared = _bounded(_coefficients(image.double())), _signs(key), _public()
    of_key, of_all = (_agreement(x[chosen], signs[chosen]) for chosen in (~shared, shared))
    return Found(of_key, chance(of_key), chance(of_all))


def chance(z: float) -> float:
    """The bound exp(-z^2 / 2) on the share of keys that agree as well."""
    return math.exp(-(max(z, 0.0) ** 2) / 2)


def require_markable(size: tuple[int, ...], key: str) -> None:
    """Raise ValueError where a picture (H, W) is too small, or the key is empty."""
    if min(size) < LEAST_SIDE:
        raise ValueError(f"watermark needs pictures of at least {LEAST_SIDE} pixels a side, got {size[1]} x {size[0]}")
    if not key:
        raise ValueError("watermark must be a key of at least one character, got none")


def _agreement(x: Tensor, signs: Tensor) -> float:
    return float((x @ signs) / x.norm().clamp(min=1e-12))


def _moves(found: Tensor, signs: Tensor, energy: float) -> Tensor:
    """Changes of coefficients of at most this mean square, that move the cheapest ones onto the side of their signs."""
    agreeing, low, high = found * signs, 0.0, 256.0

    def lacking(margin: float) -> Tensor:
        return (margin - agreeing).clamp(min=0) * (agreeing > -margin) * signs.abs()

    for _ in range(_HALVINGS):
        margin = (low + high) / 2
        low, high = (margin, high) if float(lacking(margin).pow(2).sum()) <= energy else (low, margin)
    return lacking(low) * signs


def _hidden(levels: Tensor) -> Tensor:
    """How much structure hides at every place (H, W): the deviation around it, within bounds, at mean square 1."""
    light = _light(levels)[None, None]

    def around(values: Tensor) -> Tensor:
        return avg_pool2d(values, _AROUND, 1, _AROUND // 2, count_include_pad=False)

    deviation = (around(light**2) - around(light) ** 2).clamp(min=0).sqrt()
    share = (around(deviation)[0, 0] / _ROUGH).clamp(_LEAST_HIDDEN, 1)
    return share / share.pow(2).mean().sqrt()


def _coefficients(levels: Tensor) -> Tensor:
    """Coefficients (BAND, BAND) of a whole picture in levels: those of functions of mean square 1."""
    band = _low_band(levels)
    cosines = _cosines(len(band)) / len(band)
    return cosines @ band @ cosines.T


def _low_band(levels: Tensor) -> Tensor:
    """The band LL (SIDE / 2, SIDE / 2) of the luminance by one level of Haar's wavelet, as means of 2 x 2 pixels."""
    read = interpolate(_light(levels)[None, None], (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)[
        0, 0
    ]
    return read.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).mean((1, 3))


def _light(levels: Tensor) -> Tensor:
    weights = levels.new_tensor(_LUMA if len(levels) == 3 else (1.0,))
    return (weights[:, None, None] * levels).sum(0)


@lru_cache(maxsize=8)
def _cosines(count: int) -> Tensor:
    """The functions (BAND, count) of the DCT, of mean square 1."""
    place = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    waves = math.sqrt(2) * torch.cos(math.pi * torch.arange(BAND, dtype=torch.float64)[:, None] * place)
    waves[0] = 1
    return waves


def _bounded(found: Tensor) -> Tensor:
    """Coefficients (BAND, BAND) in units of what is usual at their distance from 0, in [-1, 1]."""
    ring, used = _rings()
    usual = torch.stack([found[ring == each].abs().median() for each in range(int(ring.max()) + 1)])
    return (found / (usual[ring] + _FLOOR)).clamp(-1, 1) * used


@cache
def _rings() -> tuple[Tensor, Tensor]:
    """The distance from 0 of every frequency, and whether it is marked."""
    u = torch.arange(BAND)
    return (u[:, None] ** 2 + u**2).sqrt().round().long(), u[:, None] + u >= _FLAT


@cache
def _public() -> Tensor:
    """Which frequencies have the same sign for every key: every other one."""
    u = torch.arange(BAND)
    return (u[:, None] + u) % 2 == 0


def _signs(key: str) -> Tensor:
    """The sign of every frequency, 0 where nothing is marked."""
    own, shared = (_bits(text) for text in (f"key {key}", _PUBLIC))
    return torch.where(_public(), shared, own) * _rings()[1]


def _bits(text: str) -> Tensor:
    """Random signs (BAND, BAND) that a text fixes: SHAKE-256."""
    drawn = torch.frombuffer(bytearray(hashlib.shake_256(text.encode()).digest(BAND * BAND)), dtype=torch.uint8)
    return (drawn % 2).double().mul(2).sub(1).reshape(BAND, BAND)
