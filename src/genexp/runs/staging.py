"""A folder of results that is there complete or as it was before. Imports no torch."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_NUMBERED = re.compile(r"\d{6}\.png")


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
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        folder.mkdir(exist_ok=True)
        (folder / record).unlink(missing_ok=True)
        written = {path.relative_to(partial) for path in partial.rglob("*") if path.is_file()}
        for name in sorted(written, key=lambda each: each.name == record):
            if name.name == record:
                _remove_others(folder, known, written)
            (folder / name).parent.mkdir(exist_ok=True)
            os.replace(partial / name, folder / name)
    finally:
        shutil.rmtree(partial)


def _remove_others(folder: Path, known: Sequence[str], written: set[Path]) -> None:
    """Remove the known results that are not among those written now."""
    for name in known:
        is_folder = (folder / name).is_dir()
        inside = [Path(name, each.name) for each in (folder / name).iterdir()] if is_folder else []
        for each in [each for each in inside if _NUMBERED.fullmatch(each.name)] if is_folder else [Path(name)]:
            if each not in written:
                (folder / each).unlink(missing_ok=True)
