"""Results that are there complete or as they were before, and nothing beside them. Imports no torch."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genexp.files import locks
from genexp.files.partial import partial_path, partials, remove_abandoned
from genexp.runs.evaluations import EVALUATIONS
from genexp.runs.records import METRICS
from genexp.runs.run_folder import CONFIG, JOURNAL, OVERRIDES, RECORD, RunFolder

_LOCK = ".lock"
_NUMBERED = re.compile(r"\d{6}\.png")


def require_own_place(out: str, record: str, done: str) -> Path:
    """The folder that a command writes to, which is new, empty, or of an earlier time.

    Args:
        out: As it was typed.
        record: Name of the file by which a folder of an earlier time is known.
        done: What was done then, such as `exported`.

    Raises:
        FileExistsError: it holds something else.
    """
    place = Path(out).expanduser().resolve()
    if place.exists() and not (place.is_dir() and ((place / record).is_file() or not any(place.iterdir()))):
        raise FileExistsError(
            f"out must be a new folder or one that was {done} before, got {place}, which holds others"
        )
    return place


@contextmanager
def staged(folder: Path, known: Sequence[str], record: str) -> Iterator[Path]:
    """A folder to write into; once that has succeeded, what was written takes the place of earlier results.

    Whatever else lies in `folder` stays. The record goes first and comes last, so it never describes other files than
    those beside it.

    Args:
        folder: Where the results go.
        known: Names that results of this kind can have: files, and folders of numbered pictures; those that were not
            written now are of earlier results, and go.
        record: Name of the file that describes the results.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    partial = partial_path(folder)
    partial.mkdir()
    locks.take(partial / _LOCK)
    try:
        yield partial
        folder.mkdir(exist_ok=True)
        (folder / record).unlink(missing_ok=True)
        written = {path.relative_to(partial) for path in partial.rglob("*") if path.is_file()} - {Path(_LOCK)}
        for name in sorted(written, key=lambda each: each.name == record):
            if name.name == record:
                _remove_others(folder, known, written)
            (folder / name).parent.mkdir(exist_ok=True)
            os.replace(partial / name, folder / name)
    except OSError as error:
        if error.filename is not None:  # nobody knows the folder beside, which goes now
            error.filename = str(error.filename).replace(str(partial), str(folder))
        raise
    finally:
        locks.give_back(partial / _LOCK)
        shutil.rmtree(partial)


def clear_partials(folder: RunFolder) -> None:
    """Remove what a kill has left of files that a training writes; only the process that holds the folder may."""
    with folder.held():  # a `genexp evaluate` may write the closing values in this very moment
        for name in (CONFIG, OVERRIDES, RECORD, JOURNAL, EVALUATIONS, METRICS):
            remove_abandoned(folder.path / name, age=0)
    for path in folder.samples.glob(".*.partial"):
        path.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what commands that were killed have left; a folder of one that is still writing has its lock taken."""
    for each in partials(folder):
        if (each / _LOCK).is_file() and not locks.is_taken(each / _LOCK):
            shutil.rmtree(each, ignore_errors=True)


def _remove_others(folder: Path, known: Sequence[str], written: set[Path]) -> None:
    """Remove the known results that are not among those written now."""
    for name in known:
        is_folder = (folder / name).is_dir()
        inside = [Path(name, each.name) for each in (folder / name).iterdir()] if is_folder else []
        for each in [each for each in inside if _NUMBERED.fullmatch(each.name)] if is_folder else [Path(name)]:
            if each not in written:
                (folder / each).unlink(missing_ok=True)
