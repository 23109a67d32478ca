"""Loggers on one x-axis, images seen: the run folder's own journal, and TensorBoard with pictures."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from genexp.runs.folder import JOURNAL, RunFolder, write_atomically
from genexp.runs.pictures import drawn
from genexp.tensors import Grid


class Journal(Logger):
    """What every run keeps by itself: a line of JSON for every log step, and a PNG for every picture.

    A resumed run is rewound to the checkpoint that it starts from, so no line appears twice. It is rank zero that
    writes.

    Args:
        directory: The run folder.
    """

    def __init__(self, directory: str | Path) -> None:
        super().__init__()
        self.directory = Path(directory)
        self._begun = time.monotonic()

    @property
    def name(self) -> str:
        """The logger's name."""
        return "journal"

    @property
    def version(self) -> str:
        """The run folder's name."""
        return self.directory.name

    @property
    @rank_zero_experiment
    def experiment(self) -> "Journal":
        """The journal itself; it has no object behind it."""
        return self

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one line; `step` is the number of images seen."""
        row = {"images_seen": step, "seconds": round(time.monotonic() - self._begun, 3)}
        row |= {name: float(value) for name, value in metrics.items()}
        with open(self.directory / "metrics.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the folder already holds the configuration."""

    @rank_zero_only
    def log_picture(self, key: str, grid: Grid, step: int, caption: str) -> None:
        """Write `samples/<key>_<images seen>.png`."""
        path = self.directory / "samples" / f"{key}_{step:010d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(drawn(grid), path)

    @rank_zero_only
    def rewind(self, images_seen: int) -> None:
        """Drop the lines beyond a checkpoint, and a torn last one.

        Args:
            images_seen: Images seen by the checkpoint.

        Raises:
            DamagedRun: a line that is none of a run stands before others; nothing is dropped then.
        """
        path = self.directory / JOURNAL
        if not path.is_file():
            return
        rows, lines = RunFolder(self.directory).history(), path.read_bytes().splitlines()
        kept = [line + b"\n" for row, line in zip(rows, lines, strict=False) if row["images_seen"] <= images_seen]
        write_atomically(path, b"".join(kept))


class TensorBoard(TensorBoardLogger):
    """Lightning's TensorBoard logger, with pictures."""

    @rank_zero_only
    def log_picture(self, key: str, grid: Grid, step: int, caption: str) -> None:
        """Add one picture to the key's slider."""
        self.experiment.add_image(key, drawn(grid), global_step=step)


def save_png(image: Tensor, path: Path) -> None:
    """Write a uint8 picture (3, H, W) or (1, H, W) as PNG, complete or not at all."""
    from PIL import Image

    array = image.cpu().numpy()
    pixels = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
    partial = path.with_name(f".{path.name}.partial")
    Image.fromarray(np.ascontiguousarray(pixels)).save(partial, format="PNG")
    partial.replace(path)
