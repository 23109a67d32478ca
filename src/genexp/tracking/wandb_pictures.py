"""Pictures as W&B takes them. Imports W&B when there is one."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np


def of_pixels(pixels: np.ndarray, caption: str) -> Any:
    """A picture (H, W, 3) of 8 bits."""
    import wandb
    from PIL import Image

    return wandb.Image(Image.fromarray(pixels), caption=caption)


def of_gif(gif: bytes, caption: str) -> Any:
    """A picture that moves, by the bytes of a GIF."""
    import wandb

    return wandb.Video(BytesIO(gif), caption=caption, format="gif")


def of_file(path: Path) -> Any:
    """A PNG or GIF file."""
    import wandb

    return wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))
