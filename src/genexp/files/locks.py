"""Locks by which processes keep out of each other's way; where files cannot be locked, nobody is kept out."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_taken: dict[Path, int] = {}
"""The files that this process has taken, with the open descriptors that stand for the locks."""


def take(path: Path, patience: float = 0.0) -> bool:
    """Lock a file until `give_back`, or until this process ends in whatever way.

    A program that this process starts does not inherit the lock, and neither does a process that it forks, unless
    `shared_with_forks` says so; so what outlives it (the readers of a data set, the service of W&B) keeps nothing.

    Args:
        path: The file; made if it is missing.
        patience: Seconds to wait for another process.

    Returns:
        Whether this call has got the lock.
    """
    if path in _taken:
        return False
    deadline = time.monotonic() + patience
    while True:
        descriptor = _opened(path)
        if locked(descriptor):
            _taken[path] = descriptor
            return True
        os.close(descriptor)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def give_back(path: Path) -> None:
    """Unlock a file; one that this process has not taken stays as it is."""
    if path in _taken:
        os.close(_taken.pop(path))


def is_taken(path: Path) -> bool:
    """Whether a process has taken the file, this one or another; False where there is none that can be read."""
    if path in _taken:
        return True
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not locked(descriptor, shared=True)
    finally:
        os.close(descriptor)


@contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Lock a file meanwhile, after whoever has it."""
    descriptor = _opened(path)
    try:
        locked(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def locked(descriptor: int, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file; whether this process has it now, as always where files cannot be locked."""
    if sys.platform == "win32":
        return True
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


_shared = False


@contextmanager
def shared_with_forks(shared: bool = True) -> Iterator[None]:
    """Meanwhile, processes that this one forks hold its locks too, until the last of them has ended.

    Theirs do not: what they fork holds nothing.

    Args:
        shared: Whether it is so; else nothing changes.
    """
    global _shared
    before, _shared = _shared, shared
    try:
        yield
    finally:
        _shared = before


def _leave_to_parent() -> None:
    global _shared
    if _shared:
        _shared = False
        return
    for descriptor in _taken.values():
        os.close(descriptor)
    _taken.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
