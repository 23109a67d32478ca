"""Trainings of this user on the cores of this machine at the same time. Imports no torch.

Two that begin within a minute do not see each other in the machine's load. Each therefore keeps a locked file in the
cache with the threads that it takes; a file whose lock is free was left by a process that is gone.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genexp.files import locks
from genexp.files.trees import Tree
from genexp.hardware import threads_of_environment, usable_cores
from genexp.ranks import is_further_rank
from genexp.terminal import counted


class Neighbours:
    """The place of this training among others.

    Args:
        folder: Where all of them keep their files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._here = folder, f"{platform.node()}-"
        self._own = folder / f"{self._here}{os.getpid()}"

    def taken(self) -> int:
        """Threads that others take now, on this machine."""
        found = 0
        for path in self.folder.glob(f"{self._here}*"):
            if path == self._own or not path.name.removeprefix(self._here).isdigit():  # another machine, named alike
                continue
            if not locks.is_taken(path):
                path.unlink(missing_ok=True)
                continue
            with suppress(FileNotFoundError):  # it has ended since
                text = path.read_text()
                found += int(text) if text.isdigit() else 0  # not yet written
        return found

    def _note(self, threads: int) -> None:
        """Write down how many threads this training takes."""
        with suppress(OSError):  # on a full disk it goes uncounted
            self._own.write_text(str(threads))

    def settle(self, threads: int) -> None:
        """Say how many threads this training takes, and what it and the others lose where these are too many."""
        with locks.waited_for(self.folder / "lock"):  # a file that is not yet locked looks left behind
            self._note(threads)
            taken = self.taken()
        cores = usable_cores()
        if taken and taken + threads > cores:
            fewer = ", or each with threads=1" if threads > 1 else ""
            print(
                f"threads     {threads} here and {taken} of other trainings of yours are more than the "
                f"{counted(cores, 'core')} of this machine, which slows all of them down: start one after the "
                f"other{fewer}",
                file=sys.stderr,
            )

    @contextmanager
    def joined(self, plain: Tree, auto: bool) -> Iterator[None]:
        """Within, this training counts. A number of threads that nobody chose leaves others theirs, but for one.

        Args:
            plain: The settled configuration, whose `threads` may become fewer.
            auto: Whether nobody chose it.
        """
        with locks.waited_for(self.folder / "lock"):
            locks.take(self._own)
            if auto and not threads_of_environment() and (taken := self.taken()):
                plain["threads"] = max(1, min(plain["threads"], usable_cores() - taken))
            self._note(plain["threads"])
        try:
            yield
        finally:
            self._own.unlink(missing_ok=True)
            locks.give_back(self._own)


class Alone:
    """What counts nobody: for trainings on other devices, and where nothing can be written down."""

    def settle(self, threads: int) -> None:
        """Nothing."""

    @contextmanager
    def joined(self, plain: Tree, auto: bool) -> Iterator[None]:
        """Nothing."""
        yield


def neighbours_of(plain: Tree) -> Neighbours | Alone:
    """The place of a training on CPU cores among others of this user; further ranks belong to the first.

    Args:
        plain: The settled configuration.
    """
    folder = Path(plain["paths"]["cache"]).expanduser() / "trainings"
    if plain["trainer"]["accelerator"] == "cpu" and not is_further_rank():
        with suppress(OSError):  # a cache that cannot be written ends no run
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "lock").touch()
            return Neighbours(folder)
    return Alone()
