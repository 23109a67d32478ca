"""Pictures as W&B takes them. Imports W&B when there is one."""

from pathlib import Path
from typing import Any

import numpy as np


def of_pixels(pixels: np.ndarray, caption: str) -> Any:
    """A picture (H, W, 3) of 8 bits."""
    import wandb
    from PIL import Image

    return wandb.Image(Image.fromarray(pixels), caption=caption)


def of_file(path: Path) -> Any:
    """A PNG file."""
    import wandb

    return wandb.Image(str(path))
