"""A run folder: claimed once, readable by anything, complete without W&B. This file imports no torch."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from genexp.partial_files import partial_path
from genexp.runs import locks

CONFIG, OVERRIDES, RECORD, JOURNAL = "config.yaml", "overrides.yaml", "run.json", "metrics.jsonl"
_CHANGING, _RUNNING = ".lock", ".running"
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class DamagedRun(ValueError):
    """A folder looks like a run, but a file in it cannot be read."""


def new_run_id() -> str:
    """Eight random letters and digits: the run's name in its folder, its checkpoints and W&B."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    `config.yaml` (resolved), `overrides.yaml` (as typed), `run.json` (id, state, git, versions, hardware),
    `checkpoints/{last,best}.ckpt`, `samples/`, `metrics.jsonl` (a line a log step), `metrics.json` (closing
    values).
    """

    path: Path

    @classmethod
    def claim(cls, path: Path, record: dict[str, Any]) -> "RunFolder":
        """Take a folder for one new run and write its record, which is there complete or not at all.

        Raises:
            FileExistsError: the folder already belongs to a run; no run ever writes into another's folder.
        """
        path.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(path / RECORD, json.dumps(record, indent=2) + "\n")
        except FileExistsError as error:
            raise FileExistsError(
                f"run_dir must be a folder without a run, got {path}; continue that run with resume={path}"
            ) from error
        folder = cls(path)
        folder.samples.mkdir(exist_ok=True)
        folder.checkpoints.mkdir(exist_ok=True)
        return folder

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """The run that `path` (its folder, or any file in it) belongs to.

        Raises:
            FileNotFoundError: no run is there.
        """
        start = Path(path).expanduser().resolve()
        for folder in (start, *start.parents[:3]):
            if (folder / RECORD).is_file():
                return cls(folder)
        raise FileNotFoundError(f"run must be a run folder or a file inside one, got {path} (no {RECORD} there)")

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
    def record(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises:
            DamagedRun: the file is not readable JSON.
        """
        return self._json(RECORD)

    @property
    def metrics(self) -> dict[str, Any]:
        """The closing values of a finished run; empty before."""
        return self._json("metrics.json") if (self.path / "metrics.json").is_file() else {}

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
            DamagedRun: another line is none that a run logs.
        """
        path = self.path / JOURNAL
        if not path.is_file():
            return []
        lines = path.read_bytes().splitlines(keepends=True)
        rows = [_row(line) for line in lines]
        if rows and rows[-1] is None and not lines[-1].endswith(b"\n"):
            rows.pop()
        if None in rows:
            rule = "must hold JSON with images_seen in every line but a torn last one"
            got = f"got another in line {rows.index(None) + 1} of {len(lines)}; nothing was changed"
            raise DamagedRun(f"{JOURNAL} of the run {self.path} {rule}, {got}")
        return rows

    def discard_empty(self) -> None:
        """Remove the folder of a run that failed before it began; a folder with any result is left alone."""
        results = [*self.checkpoints.iterdir(), *self.samples.iterdir(), *self.path.glob("metrics*")]
        if not results:
            shutil.rmtree(self.path)

    def update_record(self, **changes: Any) -> None:
        """Change fields of `run.json` in one atomic step."""
        write_atomically(self.path / RECORD, json.dumps(self.record | changes, indent=2) + "\n")

    def write_metrics(self, values: dict[str, Any]) -> None:
        """Write the closing values."""
        write_atomically(self.path / "metrics.json", json.dumps(values, indent=2) + "\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from changing the closing values meanwhile; where files cannot be locked, do nothing."""
        with locks.waited_for(self.path / _CHANGING):
            yield

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.path / name).read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise DamagedRun(f"{name} of the run {self.path} cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise DamagedRun(f"{name} of the run {self.path} must hold an object, got {type(found).__name__}")
        return found


def _row(line: bytes) -> dict[str, Any] | None:
    """A line of the journal; None for what is none."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and type(row.get("images_seen")) in (int, float) else None


def run_path(outputs: Path, name: str, run_id: str) -> Path:
    """Where a new run goes: `<outputs>/<name>/<date>_<time>_<id>`."""
    return outputs / name / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{run_id}"


def runs_under(outputs: Path) -> Iterator[RunFolder]:
    """All run folders below a folder, newest first by the time of their record."""
    records = sorted(outputs.rglob(RECORD), key=lambda path: path.stat().st_mtime, reverse=True)
    return (RunFolder(path.parent) for path in records)


def newest_unfinished(outputs: Path, digest: str) -> RunFolder | None:
    """The newest run of this very configuration that has not finished and that no process trains, for `resume=auto`."""
    for folder in runs_under(outputs):
        if not folder.begun:
            continue
        record = folder.record
        if record.get("config_digest") == digest and record.get("state") != "finished" and not folder.is_running:
            return folder
    return None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    partial = partial_path(path)
    with open(partial, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _write_new(path: Path, content: str) -> None:
    """Write a file that must not be there yet, complete or not at all.

    Raises:
        FileExistsError: it is there.
    """
    partial = path.with_name(f".{path.name}.{new_run_id()}.partial")
    try:
        with open(partial, "x") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links here (exFAT, network drives): for a moment the file is empty, and so not begun
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
