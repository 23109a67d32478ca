"""The processes of one run, its ranks: none outlives the one that began them, and one that dies is named."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from lightning import Callback, Trainer
from torch.multiprocessing import ProcessRaisedException
from torch.multiprocessing.spawn import ProcessException

from genexp.config.messages import RankFailed, is_told, told
from genexp.files import locks
from genexp.ranks import is_further_rank

if TYPE_CHECKING:
    from lightning import LightningModule
    from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

LAUNCHER = "GENEXP_LAUNCHER"
"""Variable by which the process that begins a run tells its number to the ranks that it forks or starts."""

INTERVAL = 0.1
"""Seconds between two looks at other processes."""

GRACE = 1.0
"""Seconds that this process gets to end by itself, in its own words, once a rank that it started has died."""

PATIENCE = 60.0
"""Seconds that it takes at most to record and tell why this process ends."""


class Ranks(Callback):
    """In every rank that another process began, watch that process, and end with it.

    Else a rank would go on, beside a resumed run, until it waits in vain for the others.
    """

    def setup(self, trainer: Trainer, pl_module: "LightningModule", stage: str) -> None:
        """Begin to watch."""
        if _launcher() != os.getpid():
            _watch(_end_with, _launcher())

    def on_train_start(self, trainer: Trainer, pl_module: "LightningModule") -> None:
        """Let a rank that was forked end at once when it is asked to: that is after another has died."""
        if forks(trainer) and _launcher() != os.getpid():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Lightning's handler waits for the other ranks


def _launcher() -> int:
    return int(os.environ.get(LAUNCHER, os.getpid()))


def _watch(what: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=what, args=arguments, daemon=True, name="genexp-ranks").start()


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(INTERVAL)
    os.kill(os.getpid(), signal.SIGKILL)  # as good as any end: what is on the disk is complete at every moment


def _end_with_programs(
    launcher: "_SubprocessScriptLauncher",
    ended: threading.Event,
    dead: threading.Event,
    give_up: Callable[[RankFailed], None],
) -> None:
    """Wait for a rank that was started as a program to fail, or for all to end."""
    while not ended.wait(INTERVAL):
        codes = [program.poll() for program in launcher.procs]
        if any(codes):
            break
    else:
        return
    dead.set()
    programs = list(launcher.procs)
    launcher.procs.clear()  # else Lightning kills this process too when it notices, without a word
    for program in programs:
        program.kill()
    if ended.wait(GRACE):
        return
    index = next(index for index, code in enumerate(codes) if code)
    try:
        give_up(RankFailed(_died(index + 1, len(codes) + 1, programs[index].pid, codes[index])))
    finally:
        os._exit(1)


def forks(trainer: Trainer) -> bool:
    """Whether every rank, zero included, is a process that this one forks or spawns."""
    return getattr(trainer.strategy.launcher, "_start_method", None) is not None


@contextmanager
def launched(trainer: Trainer, give_up: Callable[[RankFailed], None]) -> Iterator[None]:
    """Meanwhile, this process trains or begins the ranks that do.

    Ranks that it forks hold its locks with it, so the run's folder is free only once they are gone.

    Args:
        trainer: What launches them.
        give_up: Called with what happened once a rank that was started as a program has died. This process may itself
            wait for that rank for ever, so it then ends.

    Raises:
        RankFailed: a rank that was forked has died, or has failed in a way that is told in one line.
    """
    if is_further_rank():
        yield
        return
    launcher, forked = trainer.strategy.launcher, forks(trainer)
    ended, dead = threading.Event(), threading.Event()
    os.environ[LAUNCHER] = str(os.getpid())
    if hasattr(launcher, "procs") and not forked:
        _watch(_end_with_programs, launcher, ended, dead, give_up)
    try:
        with locks.shared_with_forks(forked):
            yield
    except BaseException as error:
        if not forked:
            if isinstance(error, Exception) and told(error) is None and hasattr(launcher, "procs"):
                dead.wait(GRACE)  # an exchange with a rank fails where that has died
                time.sleep(PATIENCE if dead.is_set() else 0)  # who watches it says so, and ends this process
            raise
        failed = _of_a_rank(error, launcher.procs)
        for rank in launcher.procs:
            rank.kill()
            rank.join()
        if failed is None:
            raise
        raise failed from error
    finally:
        ended.set()
        del os.environ[LAUNCHER]


def _of_a_rank(error: BaseException, ranks: Sequence[BaseProcess]) -> RankFailed | None:
    """What to tell of the ranks that were forked, or None where the error itself says it."""
    if not isinstance(error, ProcessException):
        return None
    killed = [i for i, rank in enumerate(ranks) if (rank.exitcode or 0) < 0 and rank.exitcode != -signal.SIGTERM]
    if isinstance(error, ProcessRaisedException) and not killed:
        line = _told_in(error.msg)
        return None if line is None else RankFailed(f"rank {error.error_index} of {len(ranks)}: {line}")
    index = (killed or [error.error_index])[0]
    return RankFailed(_died(index, len(ranks), ranks[index].pid, ranks[index].exitcode))


def _told_in(trace: str) -> str | None:
    """The message of a rank's error where it is of a kind that is told in one line."""
    name, _, message = trace.strip().splitlines()[-1].partition(": ")
    return message if is_told(name) else None


def _died(index: int, count: int, pid: int, code: int) -> str:
    """What ended a rank."""
    how = f"ended with exit code {code}"
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    if code == -signal.SIGKILL:
        how += " (as the system does when memory runs out)"
    return f"rank {index} of {count} (process {pid}) {how}"
