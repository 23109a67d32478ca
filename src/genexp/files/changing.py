"""Several records of a run that change together, at one moment, whenever a process is killed. Imports no torch.

The new texts are laid out in a folder of their own, which appears under its name complete. From then on they are the
run's records for every reader, wherever they lie; who writes next puts them in their places.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from genexp.files.partial import partial_path, remove_abandoned
from genexp.files.writing import flush, naming, write_atomically

CHANGING = ".changing"
_NEW = ".new"


def place_of(run: Path, name: str) -> Path:
    """The file that holds a record now: the one laid out for a change that a kill has cut off, or the usual one."""
    laid_out = run / CHANGING / f"{name}{_NEW}"
    return laid_out if laid_out.is_file() else run / name


def write_together(run: Path, files: Mapping[str, str]) -> None:
    """Replace several files of a run at one moment; where one cannot be written, all are as they were.

    Args:
        run: Where they are; only the process that holds the run may call this.
        files: Their new texts by name.

    Raises:
        OSError: with the name of the file.
    """
    remove_abandoned(run / CHANGING, age=0)
    finish_change(run)
    before = {name: (run / name).read_bytes() if (run / name).is_file() else None for name in files}
    _lay_out(run, files)
    try:
        finish_change(run)
    except BaseException:
        for name, content in before.items():
            _restore(run / name, content)
        _take_away(run)
        raise


def finish_change(run: Path) -> None:
    """Put the records of a change that was cut off in their places; without one nothing is done."""
    if not (run / CHANGING).is_dir():
        return
    try:
        for path in sorted((run / CHANGING).glob(f"*{_NEW}")):
            write_atomically(run / path.name.removesuffix(_NEW), path.read_bytes())
        _take_away(run)
    except FileNotFoundError:
        if (run / CHANGING).is_dir():  # else another process was faster
            raise


def _lay_out(run: Path, files: Mapping[str, str]) -> None:
    partial = partial_path(run / CHANGING)
    try:
        for name, text in files.items():
            with naming(run / name):
                partial.mkdir(exist_ok=True)
                (partial / f"{name}{_NEW}").write_text(text)
                flush(partial / f"{name}{_NEW}")
        os.rename(partial, run / CHANGING)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _take_away(run: Path) -> None:
    """Let what was laid out vanish at one moment."""
    partial = partial_path(run / CHANGING)
    os.rename(run / CHANGING, partial)
    shutil.rmtree(partial, ignore_errors=True)


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    write_atomically(path, content)
