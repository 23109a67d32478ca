"""Loggers on one x-axis, images seen: the run folder's own journal, and TensorBoard with pictures."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from genexp.callbacks.continuation import ResumePoint
from genexp.runs.folder import JOURNAL, RunFolder, write_atomically
from genexp.runs.pictures import drawn
from genexp.tensors import Grid


@dataclass(frozen=True)
class Picture:
    """A picture drawn in training: `samples/<key>_<images seen>.png`."""

    path: Path
    key: str
    images_seen: int

    @classmethod
    def of(cls, path: Path) -> "Picture | None":
        """What a file's name says; None for another name."""
        found = re.fullmatch(r"(.+)_(\d{10,})", path.stem)
        return cls(path, found[1], int(found[2])) if found else None


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
        self._lines = 0

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
        with open(self._path, "a") as file:
            file.write(json.dumps(row) + "\n")
        self._lines += 1

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the folder already holds the configuration."""

    @rank_zero_only
    def log_picture(self, key: str, grid: Grid, step: int, caption: str) -> None:
        """Write `samples/<key>_<images seen>.png`."""
        path = self.directory / "samples" / f"{key}_{step:010d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(drawn(grid), path)

    @property
    def lines(self) -> int:
        """Lines of the file; known on rank zero."""
        return self._lines

    @property
    def _path(self) -> Path:
        return self.directory / JOURNAL

    def behind(self, point: ResumePoint) -> list[dict[str, float]]:
        """The rows that lie behind a checkpoint.

        Raises:
            DamagedRun: a line is none that a run logs.
        """
        rows = RunFolder(self.directory).history()
        if point.lines is None:
            return [row for row in rows if row["images_seen"] <= point.images_seen]
        return rows[: point.lines]

    def pictures(self) -> list[Picture]:
        """What has been drawn in training, in order."""
        found = [Picture.of(path) for path in (self.directory / "samples").glob("*.png")]
        return sorted((each for each in found if each is not None), key=lambda each: (each.images_seen, each.key))

    @rank_zero_only
    def rewind(self, point: ResumePoint) -> None:
        """Drop the lines and pictures beyond a checkpoint; the clock goes on from the last line behind it.

        Raises:
            DamagedRun: a line that is none of a run stands before others; nothing is dropped then.
        """
        rows = self.behind(point)
        if self._path.is_file():
            kept = self._path.read_bytes().splitlines()[: len(rows)]
            write_atomically(self._path, b"".join(line + b"\n" for line in kept))
        for each in self.pictures():
            if not point.shows(each.images_seen):
                each.path.unlink()
        self._lines = len(rows)
        self._begun = time.monotonic() - (rows[-1].get("seconds", 0.0) if rows else 0.0)


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
