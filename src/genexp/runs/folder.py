"""A run folder: claimed once, readable by anything, complete without W&B. This file imports no torch."""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

CONFIG, OVERRIDES, RECORD = "config.yaml", "overrides.yaml", "run.json"
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
        """Take a folder for one new run and write its record.

        Raises:
            FileExistsError: the folder already belongs to a run; no run ever writes into another's folder.
        """
        path.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path / RECORD, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError as error:
            raise FileExistsError(
                f"run_dir must be a folder without a run, got {path}; continue that run with resume={path}"
            ) from error
        with os.fdopen(descriptor, "w") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
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

    def history(self) -> list[dict[str, float]]:
        """All logged lines in order, each with `images_seen`; a torn last line is left out."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        rows = []
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
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
        if sys.platform == "win32":
            yield
            return
        import fcntl

        with open(self.path / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise DamagedRun(f"{name} of the run {self.path} cannot be read: {error}") from error


def run_path(outputs: Path, name: str, run_id: str) -> Path:
    """Where a new run goes: `<outputs>/<name>/<date>_<time>_<id>`."""
    return outputs / name / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{run_id}"


def runs_under(outputs: Path) -> Iterator[RunFolder]:
    """All run folders below a folder, newest first by the time of their record."""
    records = sorted(outputs.rglob(RECORD), key=lambda path: path.stat().st_mtime, reverse=True)
    return (RunFolder(path.parent) for path in records)


def newest_unfinished(outputs: Path, digest: str) -> RunFolder | None:
    """The newest run of this very configuration that has not finished, for `resume=auto`."""
    for folder in runs_under(outputs):
        try:
            record = folder.record
        except DamagedRun:
            continue
        if record.get("config_digest") == digest and record.get("state") != "finished":
            return folder
    return None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with open(partial, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
