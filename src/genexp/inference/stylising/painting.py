"""Painting one picture after the other: read, coloured, painted, cut to size, written."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.config.compose import several
from genexp.inference.stylising.method import Method, Painted, Painter, StylePicture
from genexp.inference.stylising.painting_jobs import (
    STRIDE,
    PaintingJob,
    in_strides,
    read_picture,
    require_pixels,
    sides_at,
)
from genexp.inference.stylising.sequences import Steadiness, require_one_size
from genexp.terminal import plain, progress

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from genexp.data.decoding import Header
    from genexp.runs.picture_origin import Origin

_OF_PIXELS = frozenset(["window", "patch"])
"""Options of methods that lay pixels of the style itself, without an encoder."""


def paint_all(
    config: DictConfig, job: PaintingJob, method: Method, steadiness: Steadiness | None = None
) -> Iterator[Painted]:
    """Paint the contents of a job in order; each result is written, complete or not at all, before it is given.

    Args:
        config: The configuration of the command.
        job: What is painted.
        method: By what.
        steadiness: Sees contents and results, where these are the frames of a sequence.

    Raises:
        BadImage: a picture cannot be used; of several contents their headers are read before the first is painted.
        ValueError: the frames of a sequence have several sizes, a mask has another size than a content, a style is
            smaller than what an encoder looks at, or a picture would have too many pixels at the size that is asked
            for, or too few for a watermark.
    """
    from genexp.data.decoding import read_header
    from genexp.inference.watermarks import pixel_watermark_of
    from genexp.tensors import to_uint8
    from genexp.tracking.journal import save_png

    looked_at = [*job.styles, *dict.fromkeys(path for path in job.contents if path is not None)]
    every = [read_header(str(path)) for path in looked_at]
    styled, headers = every[: len(job.styles)], every[len(job.styles) :]
    _require_pixels(config, looked_at, styled, headers)
    _require_seen(method, job.styles, styled)
    if steadiness is not None:
        require_one_size((header.height, header.width) for header in headers)
    for path in job.masks:
        _require_size_of(path, read_header(str(path)), headers)
    styles = [in_strides(read_picture(path, config.style_size or config.size)) for path in job.styles]
    painter, origin, mark = method.painter(config), _origin(config, method), pixel_watermark_of(config, "stylize")
    with progress("stylize", len(job.contents)) as advance:
        for place, (path, result) in enumerate(zip(job.contents, job.results, strict=True), 1):
            if len(job.contents) > 1 and method.tells_progress:
                print(f"stylize  picture {place} of {len(job.contents)}: {plain(result.stem)}", file=sys.stderr)
            frame = None if job.frames is None else job.frames[place - 1]
            content = None if path is None else read_picture(path, config.size, frame=frame)
            painted = _painted(config, job, painter, content, styles)
            if steadiness is not None:
                steadiness.see(content, painted.image)
            result.parent.mkdir(parents=True, exist_ok=True)
            made, given = to_uint8(painted.image[0]), [*([] if path is None else [path]), *job.styles]
            made = made if mark is None else mark.on(made)
            save_png(made, result, origin and origin.made_of(given).text(made))
            if not method.tells_progress:
                advance(1)
            yield painted


def _origin(config: DictConfig, method: Method) -> "Origin | None":
    from genexp.inference.picture_origins import origin_of
    from genexp.inference.run import load_run

    origin = origin_of(config, [] if config.run is None else [load_run(config.run)])
    return origin and replace(origin, trained=not _OF_PIXELS & method.options)


def _painted(
    config: DictConfig, job: PaintingJob, painter: Painter, content: "Tensor | None", styles: list["Tensor"]
) -> Painted:
    given = content if content is None else in_strides(content)
    masks = _masks(job, given)
    weights = [float(each) for each in several(config.style_weights)] or [1.0] * len(styles)
    shares = [weight / sum(weights) for weight in weights]
    coloured = [_coloured(style, content, config.colours) for style in styles]
    grey = given if config.colours != "luminance" or given is None else _grey(given)
    painted = painter(grey, [StylePicture(*each) for each in zip(coloured, shares, masks, strict=True)])
    if content is None:
        return painted
    height, width = content.shape[-2:]
    image = painted.image[..., :height, :width]
    if config.colours == "luminance":
        from genexp.colours import luminance, with_luminance

        image = with_luminance(content, luminance(image)).clamp(-1, 1)
    return Painted(image, painted.how)


def _require_pixels(
    config: DictConfig, paths: Sequence["Path"], styles: Sequence["Header"], contents: Sequence["Header"]
) -> None:
    style_key = "size" if config.style_size is None else "style_size"
    keys = [style_key] * len(styles) + ["size"] * len(contents)
    for key, path, header in zip(keys, paths, [*styles, *contents], strict=True):
        if config[key] is not None:
            require_pixels(key, config[key], (header.width, header.height), str(path))
    if not contents and config.size is not None:
        require_pixels("size", config.size, (1, 1), "the texture")
    _require_markable(config, [(header.width, header.height) for header in contents])


def _require_seen(method: Method, paths: Sequence["Path"], styles: Sequence["Header"]) -> None:
    """Raise ValueError where a style is too small for an encoder to see in it more than its colours."""
    if _OF_PIXELS & method.options:
        return
    for path, header in zip(paths, styles, strict=True):
        if min(header.width, header.height) < 2 * STRIDE:
            found = f"{header.width} x {header.height} in {plain(str(path))}"
            raise ValueError(
                f"style must have at least {2 * STRIDE} pixels at every side, which are looked at, got {found}"
            )


def _require_markable(config: DictConfig, contents: Sequence[tuple[int, int]]) -> None:
    """Raise ValueError where a result would be too small for a watermark; contents are (width, height)."""
    from genexp.inference.watermarks import pixel_watermark_of

    mark = pixel_watermark_of(config, "stylize")
    for sides in [] if mark is None else contents or [(1, 1)]:
        width, height = sides if config.size is None else sides_at(config.size, sides)
        mark.require((3, height, width), None)


def _require_size_of(path: "Path", mask: "Header", contents: Sequence["Header"]) -> None:
    for content in contents:
        if (mask.height, mask.width) != (content.height, content.width):
            sizes = f"{content.width} x {content.height}, got {mask.width} x {mask.height}"
            raise ValueError(f"masks must be of the content's size, {sizes} in {plain(str(path))}")


def _masks(job: PaintingJob, content: "Tensor | None") -> list["Tensor | None"]:
    """Masks (1, 1, H, W) in [0, 1], one a style."""
    if not job.masks or content is None:
        return [None] * len(job.styles)
    height, width = content.shape[-2:]
    return [(read_picture(path, None, 1, (height, width)) + 1) / 2 for path in job.masks]


def _coloured(style: "Tensor", content: "Tensor | None", colours: str) -> "Tensor":
    """A style picture as it is read: with colours of its own, the content's, or none."""
    from genexp.colours import matched, matched_luminance

    if colours == "style" or content is None:
        return style
    if colours == "matched":
        return matched(style, content).clamp(-1, 1)
    return matched_luminance(style, content).expand(-1, 3, -1, -1).clamp(-1, 1)


def _grey(image: "Tensor") -> "Tensor":
    from genexp.colours import luminance

    return luminance(image).expand(-1, 3, -1, -1)
