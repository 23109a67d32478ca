"""Single samples as files: images as PNG, video as GIF, points as a table."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from genexp.figures.samples import Figure, drawn, moments
from genexp.files.writing import naming
from genexp.sample_kinds import SampleKind, kind_of
from genexp.tensors import Grid
from genexp.tracking.gif import save_gif
from genexp.tracking.journal import save_png


def save_each(samples: Tensor, folder: Path) -> str:
    """Write every sample to a file of its own, points to one table.

    Args:
        samples: Samples (N, *shape), pictures in [-1, 1].
        folder: Where they go.

    Returns:
        The name of the file or folder that was written.
    """
    kind = kind_of(samples.shape[1:])
    name, write = _WRITERS[kind]
    write(kind.stored(samples), folder / name)
    return name


def save_grid(grid: Grid | Figure, path: Path) -> list[str]:
    """Write samples side by side as PNG, and videos as a GIF beside it; returns the names of the files."""
    save_png(drawn(grid), path)
    moving = moments(grid)
    if moving:
        save_gif(moving, path.with_suffix(".gif"))
    return [path.name, *([path.with_suffix(".gif").name] if moving else [])]


def _images(samples: Tensor, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(samples):
        save_png(image, folder / f"{i:06d}.png")


def _videos(samples: Tensor, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for i, video in enumerate(samples):
        save_gif(list(video), folder / f"{i:06d}.gif")


def _points(samples: Tensor, path: Path) -> None:
    lines = [",".join(f"{value:.6g}" for value in point) for point in samples.tolist()]
    with naming(path):
        path.write_text("\n".join(lines) + "\n")


_WRITERS: dict[SampleKind, tuple[str, Callable[[Tensor, Path], None]]] = {
    SampleKind.IMAGES: ("images", _images),
    SampleKind.VIDEO: ("videos", _videos),
    SampleKind.POINTS: ("points.csv", _points),
}
