"""Single samples as files: images as PNG, video as GIF, points as a table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from genexp.files.writing import naming
from genexp.sample_kinds import SampleKind, kind_of
from genexp.tracking.journal import save_png

FRAME_MILLISECONDS = 250
"""How long a frame of a GIF is shown; it goes round without end."""


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


def _images(samples: Tensor, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(samples):
        save_png(image, folder / f"{i:06d}.png")


def _videos(samples: Tensor, folder: Path) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for i, video in enumerate(samples):
        frames = [Image.fromarray(_pixels(frame)) for frame in video]
        path = folder / f"{i:06d}.gif"
        with naming(path):
            frames[0].save(path, save_all=True, append_images=frames[1:], duration=FRAME_MILLISECONDS, loop=0)


def _pixels(frame: Tensor) -> np.ndarray:
    array = frame.cpu().numpy()
    return np.ascontiguousarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1))


def _points(samples: Tensor, path: Path) -> None:
    lines = [",".join(f"{value:.6g}" for value in point) for point in samples.tolist()]
    with naming(path):
        path.write_text("\n".join(lines) + "\n")


_WRITERS: dict[SampleKind, tuple[str, Callable[[Tensor, Path], None]]] = {
    SampleKind.IMAGES: ("images", _images),
    SampleKind.VIDEO: ("videos", _videos),
    SampleKind.POINTS: ("points.csv", _points),
}
