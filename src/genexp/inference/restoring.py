"""Picture files restored by a trained run: what is read, what is refused before any work, and what is written."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.files.writable_places import require_places
from genexp.inference.result_places import picture_file, require_apart, results_in
from genexp.terminal import plain, progress

if TYPE_CHECKING:
    from torch import Tensor

    from genexp.inference.watermarks import Watermark
    from genexp.restoration.restorer import Restorer
    from genexp.restoration.whole import RestoredPicture
    from genexp.runs.picture_origin import Origin


@dataclass(frozen=True)
class Work:
    """Which pictures are restored, and where they go.

    Attributes:
        inputs: Picture files.
        results: A PNG file for each.
        out: The result, or the folder of several.
    """

    inputs: tuple[Path, ...]
    results: tuple[Path, ...]
    out: Path


def planned(given: str, out: str | None, degrade: bool = False) -> Work:
    """Where every result goes.

    Args:
        given: A picture, a folder of them, or the name of a photograph of scikit-learn.
        out: A PNG file, or a folder where `given` is one; None names it after that.
        degrade: Whether what is restored is written beside each result, see `degraded_beside`.

    Raises:
        FileNotFoundError: there is no such picture.
        ValueError: `out` is no such name, or nothing can be written there, a result would replace a picture that is
            read, or two have one name.
        BadImage: a file of the folder cannot be read.
    """
    from genexp.data.own_pictures import files_of

    folder = Path(given).expanduser()
    if not folder.is_dir():
        inputs = (picture_file("input", given),)
        target = Path(out or f"{inputs[0].stem}_restored.png").expanduser()
        if target.suffix.lower() != ".png":
            raise ValueError(f"out must end in .png, got {target}")
        results = (target,)
    else:
        inputs = tuple(files_of(given, "input"))
        target = Path(out or f"{folder.resolve().name}_restored").expanduser()
        results = results_in(target, folder, inputs, "input")
    beside = [degraded_beside(result) for result in results] if degrade else []
    for path in beside:
        if path in results:
            raise ValueError(f"input must leave the name {path.name} to what degrade=true writes there")
    require_apart([*results, *beside], [("input", path) for path in inputs])
    require_places([*results, *beside])
    return Work(inputs, results, target)


def degraded_beside(result: Path) -> Path:
    """Where the picture goes that was degraded and restored to `result`."""
    return result.with_name(f"{result.stem}_degraded.png")


def require_sizes(
    work: Work, restorer: "Restorer", max_pixels: int, degrade: bool, watermark: "Watermark | None" = None
) -> None:
    """Look at the headers of all pictures before the first is restored.

    Raises:
        BadImage: one cannot be read, or it or what is made of it has more than `max_pixels`, or too few for a run that
            is to degrade it first.
        ValueError: a result is too small for a watermark.
    """
    from genexp.data.decoding import read_header
    from genexp.data.source import BadImage
    from genexp.restoration.whole import least_side

    for path in work.inputs:
        header = read_header(str(path), max_pixels)
        scale = 1 if degrade else restorer.scale
        width, height = scale * header.width, scale * header.height
        if width * height > max_pixels:
            told = f"its result would have {width} x {height} pixels, more than max_pixels={max_pixels}"
            raise BadImage(str(path), told)
        if degrade and min(width, height) < least_side(restorer.scale):
            least = f"degrade=true measures what has at least {least_side(restorer.scale)} at every side"
            raise BadImage(str(path), f"it has {width} x {height} pixels, and {least}")
        if watermark is not None:
            watermark.require((3, height, width), None)


def restore_all(
    work: Work,
    restorer: "Restorer",
    tile: int | None,
    max_pixels: int,
    degrade: bool,
    say: Callable[[str], None],
    origin: "Origin | None" = None,
    watermark: "Watermark | None" = None,
) -> None:
    """Restore the pictures in order; each result is written, complete or not at all, before the next is begun.

    Args:
        work: The pictures.
        restorer: Restores them.
        tile: Side of a tile, see `Restorer`.
        max_pixels: Largest width times height that is decoded.
        degrade: Whether pictures are degraded first; what is restored then lies beside the result.
        say: Told a line of every picture that was degraded: how near its restoration comes.
        origin: What every result says of itself; None for nothing.
        watermark: The mark that every result gets, or None.

    Raises:
        BadImage: a picture cannot be used.
        ValueError: an image is not finite.
    """
    from genexp.restoration.whole import tried
    from genexp.tracking.journal import save_png

    with progress("restore", len(work.inputs)) as advance:
        for path, result in zip(work.inputs, work.results, strict=True):
            picture, opacity = read(path, max_pixels)
            result.parent.mkdir(parents=True, exist_ok=True)
            if degrade:
                trial = tried(restorer, picture, tile, in_colour=True)
                made = trial.restored
                save_png(trial.degraded, degraded_beside(result))
                say(f"{plain(path.name)}: {_in_words(trial)}")
                advance(1)
            else:
                made = restorer(picture, tile, lambda done, total: advance(1 / total))
                made = made if opacity is None else _with_opacity(made, opacity, restorer.scale)
            made = made if watermark is None else watermark.on(made)
            save_png(made, result, origin and origin.made_of([path]).text(made))


def read(path: Path, max_pixels: int) -> tuple["Tensor", "Tensor | None"]:
    """A picture (C, H, W) uint8, grey or RGB and upright, and its opacity (1, H, W) uint8 where it has one.

    Raises:
        BadImage: it cannot be used.
    """
    from genexp.data.decoding import SEVERAL, open_picture
    from genexp.data.picture_files import first_frames
    from genexp.data.picture_tensors import to_tensor, with_channels
    from genexp.data.source import BadImage

    opened = open_picture(str(path), max_pixels)
    for line in first_frames([str(path)] if opened.info[SEVERAL] else []):
        print(line, file=sys.stderr)
    try:
        if not opened.has_transparency_data:
            grey = opened.mode in ("1", "L")
            return to_tensor(with_channels(opened, 1 if grey else 3)), None
    except ValueError as error:
        raise BadImage(str(path), str(error)) from error
    clear = opened.convert("RGBA")
    return to_tensor(clear.convert("RGB")), to_tensor(clear.getchannel("A"))


def _with_opacity(made: "Tensor", opacity: "Tensor", scale: int) -> "Tensor":
    """A result (C, H, W) uint8 as RGBA, with the opacity enlarged by the bicubic filter."""
    import torch

    from genexp.conditioning.bicubic import resized
    from genexp.tensors import to_float, to_uint8

    larger = opacity if scale == 1 else to_uint8(resized(to_float(opacity), scale))
    return torch.cat([made.expand(3, -1, -1), larger])


def _in_words(trial: "RestoredPicture") -> str:
    """How near a restoration comes, beside the plain picture."""
    ours, itself = trial.ours, trial.plain
    decibels = f"{ours.psnr_y:.2f} dB (the picture itself {itself.psnr_y:.2f})"
    similar = f"SSIM {ours.ssim_y:.4f} ({itself.ssim_y:.4f})"
    return f"PSNR of Y {decibels}, {'too small for SSIM' if math.isnan(ours.ssim_y) else similar}"
