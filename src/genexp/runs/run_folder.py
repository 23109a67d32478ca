"""A run folder: claimed once, readable by anything, complete without W&B. This file imports no torch."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from genexp.files import locks
from genexp.files.changing import finish_change
from genexp.files.trees import Tree
from genexp.files.writing import write_atomically, write_new
from genexp.runs import records
from genexp.runs.records import CONFIG, JOURNAL, METRICS, OVERRIDES, RECORD, DamagedRun

__all__ = [
    "CONFIG",
    "JOURNAL",
    "OVERRIDES",
    "RECORD",
    "DamagedRun",
    "RunFolder",
    "newest_unfinished",
    "run_path",
    "runs_under",
    "write_atomically",
]

_CHANGING, _RUNNING = ".lock", ".running"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    `config.yaml` (resolved), `overrides.yaml` (as typed), `run.json` (id, state, git, versions, hardware),
    `checkpoints/{last,best}.ckpt`, `averages/` (where asked for), `samples/`, `metrics.jsonl` (a line a log step),
    `evaluations.jsonl` (a line a value with all that it means), `metrics.json` (closing values).
    """

    path: Path

    @classmethod
    def claim(cls, path: Path, record: Tree) -> "RunFolder":
        """Take a folder for one new run and write its record, which is there complete or not at all.

        Raises:
            FileExistsError: the folder already belongs to a run; no run ever writes into another's folder.
        """
        path.mkdir(parents=True, exist_ok=True)
        try:
            write_new(path / RECORD, json.dumps(record, indent=2) + "\n")
        except FileExistsError as error:
            raise FileExistsError(
                f"run_dir must be a folder without a run, got {path}; continue that run with resume={path}"
            ) from error
        folder = cls(path)
        folder.samples.mkdir(exist_ok=True)
        folder.checkpoints.mkdir(exist_ok=True)
        return folder

    @classmethod
    def open(cls, path: Path | str, key: str = "run") -> "RunFolder":
        """The run that `path` (its folder, or any file in it) belongs to.

        Args:
            path: What was given.
            key: What it was given for, to begin the error with.

        Raises:
            FileNotFoundError: no run is there.
        """
        if not str(path):
            raise FileNotFoundError(f"{key} must be a run folder or a file inside one, got nothing")
        start = Path(path).expanduser().resolve()
        for folder in (start, *start.parents[:3]):
            if (folder / RECORD).is_file():
                return cls(folder)
        below = [each for depth in ("*", "*/*") for each in start.glob(f"{depth}/{RECORD}")] if start.is_dir() else []
        newest = max(below, key=lambda each: each.lstat().st_mtime, default=None)
        told = f"; the newest of {len(below)} below it is {newest.parent}" if newest else ""
        what = f"{key} must be a run folder or a file inside one, got {path} (no {RECORD} there)"
        raise FileNotFoundError(what + told)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of the pictures."""
        return self.path / "samples"

    @property
    def last(self) -> Path:
        """The newest complete checkpoint."""
        return self.checkpoints / "last.ckpt"

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG

    @property
    def record(self) -> Tree:
        """What `run.json` says.

        Raises:
            DamagedRun: the file cannot be read, or is none that a run writes.
        """
        return records.read_record(self.path)

    @property
    def config(self) -> Tree:
        """The resolved configuration, as plain containers.

        Raises:
            DamagedRun: as `record`.
        """
        return records.read_config(self.path)

    @property
    def overrides(self) -> list[str]:
        """The overrides as they were typed.

        Raises:
            DamagedRun: as `record`.
        """
        return records.read_overrides(self.path)

    @property
    def metrics(self) -> Tree:
        """The closing values of a finished run; empty before.

        Raises:
            DamagedRun: as `record`.
        """
        return records.read_metrics(self.path)

    @property
    def best(self) -> Tree | None:
        """The best evaluation so far: `metric`, `value`, `images_seen`; None where the run keeps none.

        Raises:
            DamagedRun: as `record`.
        """
        return records.read_best(self.path)

    def require_named(self) -> None:
        """Refuse a record that does not say which run it is of.

        Raises:
            DamagedRun: it does not.
        """
        records.require_named(self.path, self.record)

    @property
    def begun(self) -> bool:
        """Whether a run was begun here: its record can be read, and its configuration is there."""
        try:
            return isinstance(self.record, dict) and self.config_path.is_file()
        except DamagedRun:
            return False

    @property
    def is_running(self) -> bool:
        """Whether a process holds the folder: this one, or another."""
        return locks.is_taken(self.path / _RUNNING)

    def hold(self, patience: float = 1.0) -> bool:
        """Keep other processes from training here until `release`, or until this process ends in whatever way.

        Args:
            patience: Seconds to wait for another process that holds the folder.

        Returns:
            Whether this call has got it; where files cannot be locked, it always has.
        """
        return locks.take(self.path / _RUNNING, patience)

    def release(self) -> None:
        """Let other processes train here; a folder that this process does not hold stays as it is."""
        locks.give_back(self.path / _RUNNING)

    def history(self) -> list[dict[str, float]]:
        """All logged lines in order, each with `images_seen`; a torn last line is left out.

        Raises:
            DamagedRun: another line is none that a run logs, or repeats the one before it.
        """
        return records.read_journal(self.path)

    def discard_empty(self) -> None:
        """Remove the folder of a run that failed before it began; a folder with any result is left alone."""
        results = [*self.checkpoints.iterdir(), *self.samples.iterdir(), *self.path.glob("metrics*")]
        if not results:
            shutil.rmtree(self.path)

    def update_record(self, **changes: Any) -> None:
        """Change fields of `run.json` in one atomic step."""
        finish_change(self.path)
        write_atomically(self.path / RECORD, json.dumps(self.record | changes, indent=2) + "\n")

    def write_metrics(self, values: Tree) -> None:
        """Write the closing values."""
        write_atomically(self.path / METRICS, json.dumps(values, indent=2) + "\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from changing the closing values meanwhile; where files cannot be locked, do nothing."""
        with locks.waited_for(self.path / _CHANGING):
            yield


def run_path(outputs: Path, name: str, run_id: str) -> Path:
    """Where a new run goes: `<outputs>/<name>/<date>_<time>_<id>`."""
    return outputs / name / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{run_id}"


def runs_under(outputs: Path) -> Iterator[RunFolder]:
    """All run folders below a folder, newest first by the time of their record."""
    records = sorted(outputs.rglob(RECORD), key=lambda path: path.lstat().st_mtime, reverse=True)
    return (RunFolder(path.parent) for path in records)


def newest_unfinished(outputs: Path, is_meant: Callable[["RunFolder"], bool]) -> RunFolder | None:
    """The newest run that has not finished, that no process trains and that is meant, for `resume=auto`."""
    for folder in runs_under(outputs):
        try:
            ended = folder.record.get("state") == "finished"
            if not ended and folder.begun and not folder.is_running and is_meant(folder):
                return folder
        except DamagedRun as error:
            print(f"passed over {error}", file=sys.stderr)
    return None
