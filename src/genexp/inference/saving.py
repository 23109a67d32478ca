"""Single samples as files: images as PNG, video as GIF, points as a table."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from genexp.figures.samples import Figure, drawn, moments
from genexp.files.writing import naming
from genexp.runs.picture_origin import Origin
from genexp.sample_kinds import SampleKind, kind_of
from genexp.tensors import Grid
from genexp.tracking.gif import save_gif
from genexp.tracking.journal import save_png


def save_each(samples: Tensor, folder: Path, origin: Origin | None = None) -> str:
    """Write every sample to a file of its own, points to one table.

    Args:
        samples: Samples (N, *shape), pictures in [-1, 1].
        folder: Where they go.
        origin: What is told of them in the files of pictures; None for nothing.

    Returns:
        The name of the file or folder that was written.
    """
    kind = kind_of(samples.shape[1:])
    name, write = _WRITERS[kind]
    write(kind.stored(samples), folder / name, origin)
    return name


def save_grid(grid: Grid | Figure, path: Path, origin: Origin | None = None) -> list[str]:
    """Write samples side by side as PNG, and videos as a GIF beside it; returns the names of the files."""
    picture, moving = drawn(grid), moments(grid)
    save_png(picture, path, origin and origin.text(picture))
    if moving:
        save_gif(moving, path.with_suffix(".gif"), _comment(origin))
    return [path.name, *([path.with_suffix(".gif").name] if moving else [])]


def _comment(origin: Origin | None, index: int | None = None) -> str:
    return "" if origin is None else origin.manifest(None, index, "gif")


def _images(samples: Tensor, folder: Path, origin: Origin | None) -> None:
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(samples):
        save_png(image, folder / f"{i:06d}.png", origin and origin.text(image, i))


def _videos(samples: Tensor, folder: Path, origin: Origin | None) -> None:
    folder.mkdir(exist_ok=True)
    for i, video in enumerate(samples):
        save_gif(list(video), folder / f"{i:06d}.gif", _comment(origin, i))


def _points(samples: Tensor, path: Path, _: Origin | None) -> None:
    lines = [",".join(f"{value:.6g}" for value in point) for point in samples.tolist()]
    with naming(path):
        path.write_text("\n".join(lines) + "\n")


_WRITERS: dict[SampleKind, tuple[str, Callable[[Tensor, Path, Origin | None], None]]] = {
    SampleKind.IMAGES: ("images", _images),
    SampleKind.VIDEO: ("videos", _videos),
    SampleKind.POINTS: ("points.csv", _points),
}
