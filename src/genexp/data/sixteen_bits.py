"""Pictures at 8 bits a channel from files that may hold more, with transparency where the file says so."""

import sys
from typing import IO

import numpy as np
from PIL import Image

_SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_KEPT = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")  # where a picture's orientation is written
_BITS, _PHOTOMETRIC, _PLANES = 258, 262, 284  # tags of TIFF
_SIZ = b"\xff\x4f\xff\x51"  # JPEG 2000: start of the code stream, then the marker of sizes


def decoded(picture: Image.Image, file: IO[bytes]) -> Image.Image:
    """Decode an opened picture; channels of more than 8 bits are scaled and rounded.

    Pillow keeps the high byte of 16-bit colours. Where it does, the file is decoded once more with the two bytes of
    every value taken for each other, which gives the low byte.

    Args:
        picture: As `PIL.Image.open` gives it, not yet loaded.
        file: What it was opened from.

    Raises:
        ValueError: its values are no colours of 8 or 16 bits.
    """
    raw = _raw_mode(picture)
    _require_readable(picture, raw, file)
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _grey(picture)
    if ";16" in raw:
        return _colour(picture, raw, file)
    picture.load()
    if raw in ("L;2", "L;4") and "transparency" in picture.info:  # the level that is clear, in the file's own bits
        picture.info["transparency"] *= 255 // (2 ** int(raw[2]) - 1)
    return picture


def _require_readable(picture: Image.Image, raw: str, file: IO[bytes]) -> None:
    if picture.mode == "F":
        raise ValueError("its values are floating-point numbers, not 8 or 16 bits a channel")
    if picture.mode == "I" and picture.format != "PPM":
        raise ValueError("its values are signed or 32-bit integers, not 8 or 16 bits a channel")
    if raw.startswith("RGBa;16"):
        raise ValueError("its 16-bit colours are multiplied by their opacity, which is not supported")
    if picture.format == "TIFF" and picture.tag_v2.get(_PLANES, 1) != 1 and picture.tag_v2.get(_BITS, (8,))[1:] > (8,):
        raise ValueError("its 16-bit colours lie in planes of their own, which is not supported")
    if picture.format == "JPEG2000" and not picture.mode.startswith("I;16"):
        bits = _jpeg2000_bits(file)
        if bits > 8:
            raise ValueError(f"it is JPEG 2000 in colour at {bits} bits a channel, of which only 8 could be read")


def _raw_mode(picture: Image.Image) -> str:
    arguments = picture.tile[0][3] if picture.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _grey(picture: Image.Image) -> Image.Image:
    """16-bit grey, and what a PPM file holds in place of it."""
    clear = picture.info.get("transparency")
    bits, inverted = 16, False
    if picture.format == "TIFF":
        bits, inverted = picture.tag_v2[_BITS][0], picture.tag_v2.get(_PHOTOMETRIC) == 0
    picture.load()
    values = np.asarray(picture).astype(np.uint16)
    if bits < 16:
        values = ((values.astype(np.uint32) * 65535 + 2 ** (bits - 1)) // (2**bits - 1)).astype(np.uint16)
    levels = _eight(65535 - values if inverted else values)
    if clear is None:
        return _with_info(Image.fromarray(levels), picture)
    opaque = np.where(values == clear, 0, 255).astype(np.uint8)
    return _with_info(Image.fromarray(np.stack([levels, opaque], -1), "LA"), picture)


def _colour(picture: Image.Image, raw: str, file: IO[bytes]) -> Image.Image:
    clear = picture.info.get("transparency")
    picture.load()
    if raw.startswith("LA;16"):
        pairs = _decoded_as(picture, file, "RGBA").astype(np.uint16)
        values = pairs[..., 0::2] << 8 | pairs[..., 1::2]
        return _with_info(Image.fromarray(_eight(values), "LA"), picture)
    swapped = raw[:-4] + _SWAPPED[raw[-4:]]
    values = np.asarray(picture).astype(np.uint16) << 8 | _decoded_as(picture, file, swapped)
    levels = _eight(values)
    if isinstance(clear, tuple):
        opaque = np.where((values == np.array(clear)).all(-1, keepdims=True), 0, 255).astype(np.uint8)
        return _with_info(Image.fromarray(np.concatenate([levels, opaque], -1)), picture)
    return _with_info(Image.fromarray(levels, picture.mode), picture)


def _decoded_as(picture: Image.Image, file: IO[bytes], raw: str) -> np.ndarray:
    """The bytes of a file whose values are read in another raw mode of the same width."""
    file.seek(0)
    with Image.open(file, formats=(picture.format,)) as again:
        again.tile = [tile._replace(args=_exchanged(tile.args, raw)) for tile in again.tile]
        again.load()
        return np.asarray(again)


def _exchanged(arguments: object, raw: str) -> object:
    return (raw, *arguments[1:]) if isinstance(arguments, tuple) else raw


def _eight(values: np.ndarray) -> np.ndarray:
    """round(v / 257) for whole numbers v of 16 bits, in whole numbers."""
    scaled = values.astype(np.uint32)
    scaled *= 255
    scaled += 32895  # half of 65536, and what makes the shift a division by 65535
    scaled >>= 16
    return scaled.astype(np.uint8)


def _with_info(made: Image.Image, picture: Image.Image) -> Image.Image:
    made.info.update({name: picture.info[name] for name in _KEPT if name in picture.info})
    return made


def _jpeg2000_bits(file: IO[bytes]) -> int:
    """Bits of the deepest channel of a JPEG 2000 file."""
    place = file.tell()
    file.seek(0)
    _, found, sizes = file.read().partition(_SIZ)
    file.seek(place)
    channels = int.from_bytes(sizes[36:38], "big") if found else 0
    return max((1 + (sizes[38 + 3 * channel] & 0x7F) for channel in range(channels)), default=8)
