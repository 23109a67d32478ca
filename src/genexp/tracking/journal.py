"""Loggers on one x-axis, images seen: the run folder's own journal, and TensorBoard with pictures."""

import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from genexp.callbacks.resume_point import ResumePoint
from genexp.figures.samples import Figure, drawn, moments
from genexp.files.json_records import is_there
from genexp.files.writing import naming, replace_file, write_atomically
from genexp.runs.evaluations import TRAINING, keep_evaluations, read_evaluations, rewind_evaluations
from genexp.runs.run_folder import JOURNAL, DamagedRun, RunFolder
from genexp.tensors import Grid
from genexp.tracking.dispensable import dispensable, hush_writer_threads
from genexp.tracking.gif import gif_of, save_gif
from genexp.tracking.past import CAPTION, LoggedPicture, Past

if TYPE_CHECKING:
    from lightning.pytorch.loggers.csv_logs import ExperimentWriter
    from torch.utils.tensorboard import SummaryWriter


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
        with naming(self._path), open(self._path, "a") as file:
            file.write(json.dumps(row) + "\n")
        self._lines += 1

    @rank_zero_only
    def log_hyperparams(self, *_: object, **__: object) -> None:
        """Nothing: the folder already holds the configuration."""

    @rank_zero_only
    def log_picture(self, key: str, grid: Grid | Figure, step: int, caption: str) -> None:
        """Write `samples/<key>_<images seen>.png`, and of videos a GIF beside it."""
        path = self.directory / "samples" / f"{key}_{step:010d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(drawn(grid), path, {CAPTION: caption})
        if moving := moments(grid):
            save_gif(moving, path.with_suffix(".gif"))

    @rank_zero_only
    def log_evaluations(self, records: Mapping[str, Mapping[str, Any]], step: int) -> None:
        """Append a line a value to `evaluations.jsonl`."""
        keep_evaluations(RunFolder(self.directory), records, TRAINING, {"images_seen": step})

    @property
    def lines(self) -> int:
        """Lines of the file; known on rank zero."""
        return self._lines

    @property
    def _path(self) -> Path:
        return self.directory / JOURNAL

    def past(self, point: ResumePoint, repeats: bool = True) -> Past:
        """What lies behind a checkpoint.

        Args:
            point: Where the checkpoint stands.
            repeats: Whether the run goes on as it was.

        Raises:
            DamagedRun: a line is none that a run logs.
        """
        rows = RunFolder(self.directory).history()
        _ = read_evaluations(RunFolder(self.directory))
        if point.lines is None:
            rows = [row for row in rows if row["images_seen"] <= point.images_seen]
        elif len(rows) < point.lines and is_there(self._path):
            raise DamagedRun(
                f"{JOURNAL} of the run {self.directory} must hold the {point.lines} lines behind its checkpoint, "
                f"got {len(rows)}; nothing was changed (without that file the run goes on, and its history is lost)"
            )
        pictures = [each for each in self._pictures() if point.shows(each.images_seen)]
        return Past(point.images_seen, rows[: point.lines], pictures, repeats)

    def _pictures(self) -> list[LoggedPicture]:
        """What has been drawn in training, in order."""
        found = [LoggedPicture.of(path) for path in (self.directory / "samples").glob("*.png")]
        return sorted((each for each in found if each is not None), key=lambda each: (each.images_seen, each.key))

    @rank_zero_only
    def rewind(self, point: ResumePoint) -> None:
        """Drop the lines and pictures beyond a checkpoint; the clock goes on from the last line behind it.

        Raises:
            DamagedRun: a line that is none of a run stands before others; nothing is dropped then.
        """
        rows = self.past(point).rows
        if self._path.is_file():
            kept = self._path.read_bytes().splitlines()[: len(rows)]
            write_atomically(self._path, b"".join(line + b"\n" for line in kept))
        rewind_evaluations(RunFolder(self.directory), point.shows)
        for each in self._pictures():
            if not point.shows(each.images_seen):
                each.path.unlink()
                each.path.with_suffix(".gif").unlink(missing_ok=True)
        self._lines = len(rows)
        self._begun = time.monotonic() - (rows[-1].get("seconds", 0.0) if rows else 0.0)


class BesideJournal(Logger):
    """A logger of Lightning's with files of its own: the run goes on where they cannot be written."""

    _past: Past | None = None
    is_lost = False

    def __init_subclass__(cls, **options: object) -> None:
        """Let none of the methods that write end a run."""
        super().__init_subclass__(**options)
        for name in ("log_hyperparams", "log_metrics", "save", "finalize"):
            setattr(cls, name, dispensable(getattr(cls, name)))

    @property
    def place(self) -> str:
        """Where its files are."""
        return self.log_dir

    def remember(self, past: Past) -> None:
        """Log again what lies behind the checkpoint when the files are opened."""
        self._past = past

    def _behind(self) -> Past | None:
        """What is to be logged again, once."""
        past, self._past = self._past, None
        return past


class TensorBoard(BesideJournal, TensorBoardLogger):
    """Lightning's TensorBoard logger, with pictures; of a resumed run nothing is shown twice."""

    def remember(self, past: Past) -> None:
        """Let TensorBoard forget what was logged from the checkpoint on, then log again what lies behind it."""
        super().remember(past.at_checkpoint())
        self._kwargs["purge_step"] = past.images_seen

    @property
    @rank_zero_experiment
    def experiment(self) -> "SummaryWriter":
        """TensorBoard's writer, opened at first use."""
        hush_writer_threads()
        writer = super().experiment
        past = self._behind()
        if past is not None:
            for images_seen, values in past.values():
                self.log_metrics(values, step=images_seen)
            for each, pixels, _ in past.drawings():
                writer.add_image(each.key, pixels, global_step=each.images_seen, dataformats="HWC")
                if (moving := each.moving()) is not None:
                    _add_gif(writer, each.key, moving, each.images_seen)
        return writer

    @rank_zero_only
    @dispensable
    def log_picture(self, key: str, grid: Grid | Figure, step: int, caption: str) -> None:
        """Add one picture to the key's slider, and of videos one that moves."""
        self.experiment.add_image(key, drawn(grid), global_step=step)
        if moving := moments(grid):
            _add_gif(self.experiment, key, gif_of(moving), step)


def _add_gif(writer: "SummaryWriter", key: str, gif: bytes, step: int) -> None:
    """Add what `add_video` would: a GIF as an encoded picture. That one needs moviepy to make it."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    picture = Summary.Image(colorspace=3, encoded_image_string=gif)
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=f"{key}_moving", image=picture)]), step)


class Csv(BesideJournal, CSVLogger):
    """Lightning's table of all lines; that of a resumed run is written anew from the journal."""

    @property
    @rank_zero_experiment
    def experiment(self) -> "ExperimentWriter":
        """The table's writer, opened at first use."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the journal has all of it
            writer = super().experiment
        past = self._behind()
        for images_seen, values in past.values() if past else []:
            self.log_metrics(values, step=images_seen)
        return writer


def save_png(image: Tensor, path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write a uint8 picture (3, H, W) or (1, H, W) as PNG, complete or not at all, with texts by their keywords."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    array = image.cpu().numpy()
    pixels = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    replace_file(path, lambda partial: picture.save(partial, format="PNG", pnginfo=info), durable=False)
