"""Pictures as W&B takes them. Imports W&B when there is one."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import wandb


def of_pixels(pixels: np.ndarray, caption: str) -> "wandb.Image":
    """A picture (H, W, 3) of 8 bits."""
    import wandb
    from PIL import Image

    return wandb.Image(Image.fromarray(pixels), caption=caption)


def of_gif(gif: bytes, caption: str) -> "wandb.Video":
    """A picture that moves, by the bytes of a GIF."""
    import wandb

    return wandb.Video(BytesIO(gif), caption=caption, format="gif")


def of_file(path: Path) -> "wandb.Image | wandb.Video":
    """A PNG or GIF file."""
    import wandb

    return wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))
