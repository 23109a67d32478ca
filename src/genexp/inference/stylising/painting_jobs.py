"""Pictures of `genexp stylize`: which files, at which size they are read, and where results go."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.config.compose import several
from genexp.files.writable_places import require_places
from genexp.inference.result_places import picture_file, require_apart, results_in
from genexp.inference.stylising.sequences import count_frames, in_their_order
from genexp.terminal import plain

if TYPE_CHECKING:
    from torch import Tensor

STRIDE = 8
"""Sides of what methods are given are multiples of so many pixels: three poolings of an encoder divide them."""


@dataclass(frozen=True)
class PaintingJob:
    """What is painted, and where it goes.

    Attributes:
        contents: Content files in order; None alone for a texture.
        frames: The frame of each that is painted, of a file with several; None for pictures.
        results: A PNG file for each.
        styles: Style files.
        masks: A mask file for each style, or none.
        out: The result, or the folder of several.
    """

    contents: tuple[Path | None, ...]
    results: tuple[Path, ...]
    styles: tuple[Path, ...]
    masks: tuple[Path, ...]
    out: Path
    frames: tuple[int, ...] | None = None


def style_files(given: Path | str | Sequence[Path | str] | None, key: str = "style") -> tuple[Path, ...]:
    """The picture files that a key names: one, or a list.

    Raises:
        FileNotFoundError: one does not exist.
    """
    return tuple(picture_file(key, each) for each in several(given))


def content_files(given: str | None) -> tuple[Path | None, ...]:
    """The content pictures in order: of a file, or of a folder by their paths; one None where there is none.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: the folder holds no pictures.
        BadImage: a file of the folder cannot be read.
    """
    if given is None:
        return (None,)
    if Path(given).expanduser().is_dir():
        from genexp.data.own_pictures import files_of

        return tuple(files_of(given, "content"))
    return (picture_file("content", given),)


def planned(
    content: str | None,
    contents: tuple[Path | None, ...],
    styles: Path | str | Sequence[Path | str] | None,
    masks: Path | str | Sequence[Path | str] | None,
    out: str | None,
    sequence: bool = False,
) -> PaintingJob:
    """Where every result goes.

    Args:
        content: What was given as content.
        contents: Its files.
        styles: What was given as styles.
        masks: What was given as masks.
        out: A PNG file, or a folder where the content is one; None names it after content and styles.
        sequence: Whether the contents are the frames of one sequence: of a folder, by the numbers in their names, or
            of one file.

    Raises:
        ValueError: `out` is no such name, or nothing can be written there, a result would replace a picture that is
            read, two have one name, or a file has no frames.
        BadImage: the frames of a file cannot be counted.
    """
    style, mask = style_files(styles), style_files(masks, "masks")
    folder = None if content is None else Path(content).expanduser()
    several_contents = folder is not None and folder.is_dir()
    frames = None
    if sequence and several_contents:
        contents = in_their_order(contents)
    elif sequence:
        frames = tuple(range(count_frames(contents[0])))
        contents = contents * len(frames)
    name = "texture" if folder is None else folder.resolve().name if several_contents else contents[0].stem
    named = name + (f"_as_{'_'.join(each.stem for each in style)}" if style else "_painted")
    target = Path(out or (named if several_contents or frames else f"{named}.png")).expanduser()
    if frames:
        results = _numbered_in(target, len(frames))
    elif several_contents:
        results = results_in(target, folder, contents, "content")
    elif target.suffix.lower() != ".png":
        raise ValueError(f"out must end in .png, got {target}")
    else:
        results = (target,)
    read = [("content", contents), ("style", style), ("masks", mask)]
    require_apart(results, [(key, path) for key, paths in read for path in paths if path is not None])
    require_places(results)
    return PaintingJob(contents, results, style, mask, target, frames)


def _numbered_in(target: Path, count: int) -> tuple[Path, ...]:
    if target.exists() and not target.is_dir():
        raise ValueError(f"out must be a folder, for the frames of a sequence, got {target}")
    return tuple(target / f"{number:06d}.png" for number in range(count))


def read_picture(
    path: Path, size: int | None, mode: int = 3, like: tuple[int, int] | None = None, frame: int | None = None
) -> "Tensor":
    """A picture as floats (1, C, H, W) in [-1, 1].

    Args:
        path: The file.
        size: About its longer side; both sides become multiples of the stride. None keeps its own size.
        mode: Channels: 3, or 1 for a mask.
        like: Height and width that it is brought to, in place of `size`.
        frame: The frame of a file with several; None for its first, which is said then.

    Raises:
        BadImage: it cannot be used.
    """
    from PIL import Image

    from genexp.data.decoding import SEVERAL, open_frame, open_picture
    from genexp.data.picture_files import first_frames
    from genexp.data.picture_tensors import to_tensor, with_channels
    from genexp.data.source import BadImage
    from genexp.tensors import to_float

    opened = open_picture(str(path)) if frame is None else open_frame(str(path), frame)
    for line in first_frames([str(path)] if frame is None and opened.info[SEVERAL] else []):
        print(line, file=sys.stderr)
    try:
        picture = with_channels(opened, mode)
    except ValueError as error:
        raise BadImage(str(path), str(error)) from error
    if like is not None:
        sides = [like[1], like[0]]
    elif size is None:
        sides = list(picture.size)
    else:
        sides = sides_at(size, picture.size)
    return to_float(to_tensor(picture.resize(sides, Image.Resampling.LANCZOS)))[None]


def sides_at(size: int, sides: Sequence[int]) -> list[int]:
    """Sides of a picture whose longer one is brought to about `size` pixels: multiples of the stride, at least two."""
    return [max(2, round(side * size / max(sides) / STRIDE)) * STRIDE for side in sides]


def require_pixels(key: str, size: int, sides: Sequence[int], name: str) -> None:
    """Raise ValueError where a picture brought to `size` by `sides_at` has more pixels than are ever decoded.

    Args:
        key: The key that says the size.
        size: Its value.
        sides: Sides of the picture.
        name: The picture, for the error.
    """
    from genexp.data.decoding import MAX_PIXELS

    width, height = sides_at(size, sides)
    if width * height > MAX_PIXELS:
        told = f"{size}, at which {plain(name)} has {width} x {height}"
        raise ValueError(f"{key} must leave every picture at most {MAX_PIXELS} pixels, got {told}")


def in_strides(image: "Tensor") -> "Tensor":
    """Repeat the last row and column of (1, C, H, W) until both sides are multiples of the stride, at least two."""
    from torch.nn import functional

    height, width = image.shape[-2:]
    down, right = (max(-side % STRIDE, 2 * STRIDE - side) for side in (height, width))
    return functional.pad(image, (0, right, 0, down), mode="replicate") if down or right else image
