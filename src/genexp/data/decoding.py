"""The one place that opens picture files: stated formats, regular files, bounded sizes, every channel at 8 bits."""

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO, NamedTuple

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from genexp.data import sixteen_bits
from genexp.data.source import BadImage
from genexp.files.json_records import open_regular

FORMATS = ("PNG", "JPEG", "JPEG2000", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
"""Formats by Pillow's names: the decoders that a file can reach. Pillow knows others, some of which start programs."""
EXTENSIONS = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *(".webp", ".avif", ".avifs", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Endings, in lower case, of the names of picture files."""
MAX_PIXELS = 50_000_000
"""Largest width times height that is decoded unless something else is asked for."""
SEVERAL = "several frames"
"""Key of a decoded picture's `info` that is true where the file holds further frames."""
_ORIENTATION = 0x0112
_TEXT_CHUNK, _TEXT_MEMORY = 64 * 2**20, 256 * 2**20  # bytes of text and profiles in a PNG, unpacked: one, and all
_SMALLEST_LIMIT = 2**20  # pixels: a TIFF tile may be larger than a small picture
_LOCK = threading.RLock()


class Header(NamedTuple):
    """What the header of a picture file says.

    Attributes:
        channels: 1 for grey, 3 for colour; palettes and transparency count as colour.
        height: Pixels, of the upright picture.
        width: Pixels, of the upright picture.
        several: The file holds further frames or pages, which are not read.
    """

    channels: int
    height: int
    width: int
    several: bool


def open_picture(
    path: str,
    max_pixels: int = MAX_PIXELS,
    skip: bool = False,
    content: bytes | None = None,
    least: int | None = None,
) -> Image.Image:
    """Decode the first frame of a picture file, upright, at 8 bits a channel.

    16 bits a channel are scaled and rounded.

    Args:
        path: The file.
        max_pixels: Largest width times height that is decoded; the header is asked first.
        skip: Passed on with the error: whether the source asked to go on without bad images.
        content: The bytes of the picture where they are no file of their own; `path` is then what errors call it.
        least: Have libjpeg decode a JPEG at the smallest of the scales 1/8, 1/4, 1/2 and 1 that leaves both sides so
            many pixels; other formats are decoded whole. None for all whole.

    Raises:
        BadImage: the file is unreadable, no regular file, none of `FORMATS`, truncated, larger than `max_pixels`, or
            holds values that are no colours.
    """
    with _told(path, max_pixels, skip), _opened(path, max_pixels, content) as (picture, file):
        several = has_several_frames(picture)
        if least is not None:
            picture.draft(None, (least, least))
        upright = ImageOps.exif_transpose(sixteen_bits.decoded(picture, file))
        upright.info[SEVERAL] = several
        return upright


def frame_count(path: str, max_pixels: int = MAX_PIXELS) -> int:
    """How many frames a picture file has; none of them is decoded.

    Raises:
        BadImage: as `open_picture`, as far as the header tells.
    """
    with _told(path, max_pixels, False), _opened(path, max_pixels) as (picture, _):
        return int(getattr(picture, "n_frames", 1)) if has_several_frames(picture) else 1


def open_frame(path: str, frame: int, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one frame of a moving picture, as it is shown: with what earlier frames have left.

    Raises:
        BadImage: as `open_picture`; there is no such frame.
    """
    with _told(path, max_pixels, False), _opened(path, max_pixels) as (picture, _):
        picture.seek(frame)
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def read_header(path: str, max_pixels: int = MAX_PIXELS, skip: bool = False) -> Header:
    """Size and colour of a picture, without decoding it.

    Raises:
        BadImage: as `open_picture`, as far as the header tells.
    """
    with _told(path, max_pixels, skip), _opened(path, max_pixels) as (picture, _):
        width, height = picture.size
        turned = picture.format != "TIFF" and picture.getexif().get(_ORIENTATION, 1) > 4  # Pillow turns TIFF itself
        if turned:
            width, height = height, width
        grey = picture.mode in ("L", "1", "I") or picture.mode.startswith("I;16")
        return Header(1 if grey else 3, height, width, has_several_frames(picture))


def read_texts(path: str, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """What the texts of a PNG and the comment of another picture say, by keyword; nothing of it is to be trusted.

    Raises:
        BadImage: as `open_picture`.
    """
    with _told(path, max_pixels, False), _opened(path, max_pixels) as (picture, _):
        picture.load()  # texts may stand behind the pixels
        texts = dict(getattr(picture, "text", {}))
        comment = picture.info.get("comment")
        return {**texts, **({} if comment is None else {"comment": _decoded(comment)})}


def _decoded(comment: str | bytes) -> str:
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)


def has_several_frames(picture: Image.Image) -> bool:
    """Whether a file holds frames or pages behind the first; previews that a camera adds to a JPEG do not count."""
    if picture.format == "MPO":
        return False
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:  # what follows the first frame is damaged, which harms the first in no way
        return True


@contextmanager
def stated_formats(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """While this lasts, pictures that a library opens by `PIL.Image.open` are of `FORMATS`, and not larger than twice
    `max_pixels`, too."""
    with _limits(max_pixels):
        Image.init()  # all decoders are registered: none is added later
        before = Image.ID
        Image.ID = [each for each in before if each in FORMATS]
        try:
            yield
        finally:
            Image.ID = before


@contextmanager
def _told(path: str, max_pixels: int, skip: bool) -> Iterator[None]:
    """Turn whatever a decoder raises for a damaged file into one error that names the file."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise BadImage(path, f"it cannot be read as any of {', '.join(FORMATS)}", skip) from error
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+ pixels", str(error))  # Pillow tells it before it gives the picture
        found = count[0] if count else "far more pixels"
        raise BadImage(path, f"it has {found}, more than max_pixels={max_pixels}", skip) from error
    except OSError as error:
        raise BadImage(path, error.strerror or str(error), skip) from error
    except Exception as error:  # decoders raise nearly everything: AssertionError, KeyError, struct.error, ...
        raise BadImage(path, str(error) or type(error).__name__, skip) from error


@contextmanager
def _opened(path: str, max_pixels: int, content: bytes | None = None) -> Iterator[tuple[Image.Image, IO[bytes]]]:
    with (
        os.fdopen(open_regular(path), "rb") if content is None else BytesIO(content) as file,
        _limits(max_pixels),
        Image.open(file, formats=FORMATS) as picture,
    ):
        width, height = picture.size
        if width * height > max_pixels:
            raise ValueError(f"it has {width} x {height} pixels, more than max_pixels={max_pixels}")
        yield picture, file


@contextmanager
def _limits(max_pixels: int) -> Iterator[None]:
    """Our limits in place of Pillow's, which are of the whole process: hence the lock."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
        Image.MAX_IMAGE_PIXELS = max(max_pixels, _SMALLEST_LIMIT)
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = _TEXT_CHUNK, _TEXT_MEMORY
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = before
