"""Places that results go to, tried before any work, so that no work is lost for want of one."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from genexp.files.json_records import reason_of


def require_places(results: Iterable[Path], key: str = "out") -> None:
    """Hold files that are to be written against the folders that are there; nothing is left behind.

    Args:
        results: The files; folders of theirs that are missing are made when they are written.
        key: The key that says where, for the error.

    Raises:
        ValueError: a folder has the name of a file or a file that of a folder, or nothing can be written there.
    """
    tried = set()
    for result in results:
        if result.is_dir():
            raise ValueError(f"{key} must name a file, got {result}, which is a folder")
        folder = next(each for each in result.absolute().parents if each.exists())
        if folder in tried:
            continue
        tried.add(folder)
        if not folder.is_dir():
            raise ValueError(f"{key} must lie in a folder, got {result}: {folder.name} is a file")
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ValueError(f"{key} must lie where files can be written, got {result}: {reason_of(error)}") from error
