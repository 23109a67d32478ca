"""Moving pictures as GIF, for files and for loggers."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from torch import Tensor

from genexp.files.writing import replace_file

FRAME_MILLISECONDS = 250
"""How long a frame is shown; it goes round without end."""


def gif_of(frames: Sequence[Tensor], comment: str = "") -> bytes:
    """Frames of 8 bits, (1, H, W) or (3, H, W) each, as the bytes of a GIF; colours are those of its 256."""
    from PIL import Image

    shown = [Image.fromarray(_pixels(frame)) for frame in frames]
    file = BytesIO()
    told = {"comment": comment.encode()} if comment else {}
    shown[0].save(file, "GIF", save_all=True, append_images=shown[1:], duration=FRAME_MILLISECONDS, loop=0, **told)
    return file.getvalue()


def save_gif(frames: Sequence[Tensor], path: Path, comment: str = "") -> None:
    """Write frames of 8 bits, (1, H, W) or (3, H, W) each, as GIF with a comment, complete or not at all."""
    replace_file(path, lambda partial: partial.write_bytes(gif_of(frames, comment)), durable=False)


def _pixels(frame: Tensor) -> np.ndarray:
    array = frame.cpu().numpy()
    return np.ascontiguousarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1))
