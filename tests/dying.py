"""Runs that die at a named moment: in a process of their own, forked from this one, which has imported everything."""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from unittest import mock

import tiny
from genexp.callbacks.cadence import LogTerms
from genexp.callbacks.checkpoint import Checkpoints
from genexp.sampling.dpm_solver import DPMSolver2M

KILLED, INTERRUPTED, TERMINATED = "kill -9", "Ctrl-C", "kill"
HOW = {KILLED: signal.SIGKILL, INTERRUPTED: signal.SIGINT, TERMINATED: signal.SIGTERM}
STATUS = {INTERRUPTED: 1, TERMINATED: 143}
SECONDS = 300


def die(how: str) -> None:
    """End this process as the outside would; a Ctrl-C reaches Python at once."""
    os.kill(os.getpid(), HOW[how])


class Moments:
    """What a dying run counts: it dies when `moment` comes for the `number`-th time."""

    def __init__(self, moment: str, number: int, how: str) -> None:
        self.moment, self.left, self.how = moment, number, how

    def has_come(self, moment: str) -> None:
        """Die if this was the one."""
        if moment == self.moment:
            self.left -= 1
            if self.left == 0:
                die(self.how)


def _arrange(moments: Moments) -> None:
    """Tell `moments` of evaluations, their steps, and every file that takes its place under its name."""
    evaluated, replaced, ended = LogTerms.on_validation_epoch_end, os.replace, Checkpoints.on_train_batch_end
    stepped = DPMSolver2M.step

    def on_validation_epoch_end(self, *arguments):
        moments.has_come("evaluation begun")
        evaluated(self, *arguments)
        moments.has_come("evaluation written")

    def on_train_batch_end(self, *arguments):
        ended(self, *arguments)
        moments.has_come("batch")

    def replace(source, target):
        moments.has_come(f"before {Path(target).name}")
        replaced(source, target)
        moments.has_come(f"after {Path(target).name}")

    def step(self, *arguments):
        moments.has_come("sampler step")
        return stepped(self, *arguments)

    mock.patch.object(DPMSolver2M, "step", step).start()
    mock.patch.object(LogTerms, "on_validation_epoch_end", on_validation_epoch_end).start()
    mock.patch.object(Checkpoints, "on_train_batch_end", on_train_batch_end).start()
    mock.patch.object(os, "replace", replace).start()


def forked(work) -> int:
    """Call `work` in a process forked from this one; its wait status. It never returns into the test."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(SECONDS)
        for name in [each for each in os.environ if "WANDB_SERVICE" in each]:
            del os.environ[name]  # a process of a user's has a service of W&B of its own, which ends with it
        try:
            work()
        except SystemExit as end:
            os._exit(end.code)
        except KeyboardInterrupt:
            os._exit(STATUS[INTERRUPTED])
        except BaseException:
            traceback.print_exc()
            os._exit(99)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def dies(overrides: list[str], moment: str, number: int = 1, how: str = KILLED) -> None:
    """Train until `moment` comes for the `number`-th time, and die there.

    Raises:
        AssertionError: the run ended in another way; then the moment never came.
    """
    assert threading.active_count() >= 1

    def work():
        _arrange(Moments(moment, number, how))
        tiny.run(overrides)

    status = forked(work)
    expected = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if how in STATUS:
        expected = os.WIFEXITED(status) and os.WEXITSTATUS(status) == STATUS[how]
    assert expected, f"the run must die {how} at {moment!r} ({number}), got wait status {status}"
