"""The names of files that are being written, and what a kill leaves of them. Imports no torch."""

import glob
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

LAID_OUT = ".best.ckpt.partial"
"""What is to become `best.ckpt`; it is there only while checkpoints are written, and after a kill meanwhile."""

A_DAY = 86_400.0
"""Seconds after which nobody can still be writing a file."""


def partial_path(path: Path) -> Path:
    """The name beside `path` under which this process writes it, before it takes its place in one step."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def partials(path: Path) -> Iterable[Path]:
    """What processes have begun to write in the place of `path` and not yet moved there."""
    return path.parent.glob(f".{glob.escape(path.name)}.*.partial")


def remove_abandoned(path: Path, age: float = A_DAY) -> None:
    """Remove what processes that were killed have left of `path`.

    Args:
        path: The file or folder that they were writing.
        age: Seconds since the last change from which on nobody can still be writing it.
    """
    for each in partials(path):
        try:
            if time.time() - each.stat().st_mtime < age:
                continue
        except FileNotFoundError:  # another process was faster
            continue
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)
