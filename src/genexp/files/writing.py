"""Files that are there complete or as they were before, whenever a process is killed or a disk is full. No torch."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from genexp.files.partial import partial_path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part.

    Raises:
        OSError: it cannot be written; it names the file, which is as it was.
    """
    text = content.encode() if isinstance(content, str) else content
    replace_file(path, lambda partial: partial.write_bytes(text))


def replace_file(path: Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Let `write(partial path)` make a file, then put it at `path` in one atomic step.

    Args:
        path: Where it shall be.
        write: Makes it.
        durable: Whether to wait until it is on the disk; one of many pictures may be lost with the power.

    Raises:
        OSError: it cannot be written; it names the file, which is as it was.
    """
    partial = partial_path(path)
    with written_beside(partial, path):
        write(partial)
        if durable:
            flush(partial)
        os.replace(partial, path)


@contextmanager
def written_beside(partial: Path, path: Path) -> Iterator[None]:
    """While a file is written as `partial` and put in the place of `path`: an error names `path` and leaves no part.

    What was written so far goes, so that a full disk has room again for what says why the run ended.
    """
    with naming(path):
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def flush(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, content: str) -> None:
    """Write a file that must not be there yet, complete or not at all.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be written; it names the file.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    with naming(path):
        try:
            partial.write_bytes(content.encode())
            flush(partial)
            try:
                os.link(partial, path)
            except FileExistsError:
                raise
            except OSError:  # no hard links here (exFAT, network drives): for a moment the file is empty, so not begun
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
                os.replace(partial, path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the operating system name the file that was to be written.

    A full disk is told by a write, which names none, and what is written beside a file has a name that nobody knows.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise


def lacking(folder: Path) -> list[Path]:
    """A folder and those above it, from the inside out, as far as they are not there."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of some folders that are there and empty, in their order."""
    for each in folders:
        with contextlib.suppress(OSError):
            each.rmdir()


@contextmanager
def leaving_no_empty_folder(folder: Path) -> Iterator[None]:
    """Within, a folder may be made; where that fails, it is there as it was, unless something is in it."""
    made = lacking(folder)
    try:
        yield
    except BaseException:
        remove_empty(made)
        raise
