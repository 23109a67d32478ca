"""The moment from which a run's records say that it trains: everything has been restored, and rank zero is at work."""

import os
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger

from genexp.files.trees import Tree
from genexp.training.processes import forks

if TYPE_CHECKING:
    from lightning import LightningModule


class Start(Callback):
    """Begin a run in the process that logs it, once all that it goes on from has been restored.

    Until then a run that is continued stays as it was, on the disk and in every logger. That process is rank zero: it
    opens the loggers, because their threads and connections do not survive a fork. Where it was forked it closes them
    too, however it ends.

    Args:
        announce: Writes and says that the run begins; returns what loggers keep beside the values.
        close: Ends the loggers, well or not.
        loggers: The trainer's loggers.
    """

    def __init__(self, announce: Callable[[], Tree], close: Callable[[bool], object], loggers: list[Logger]):
        self.loggers, self._announce, self._close = loggers, announce, close
        self._described: Tree | None = None
        self._parent = os.getpid()
        self._at_exit: Finalize | None = None

    def wait(self, trainer: Trainer) -> None:
        """Keep the loggers from the trainer, which opens them long before it restores anything."""
        trainer.loggers = []
        trainer.callbacks.insert(0, self)

    def announce(self) -> None:
        """Write and say that the run begins, unless that has been done."""
        if self._described is None:
            self._described = self._announce()

    def on_train_start(self, trainer: Trainer, pl_module: "LightningModule") -> None:
        """Begin, before other callbacks, which may log."""
        trainer.loggers = self.loggers
        if not trainer.is_global_zero:
            return
        self.announce()
        if forks(trainer):
            self._at_exit = Finalize(self, self._end, ("failed", False), exitpriority=0)
        for logger in self.loggers:
            logger.log_hyperparams(self._described)  # opens it

    def teardown(self, trainer: Trainer, pl_module: "LightningModule", stage: str) -> None:
        """End the loggers where this process ends with the training."""
        if self._at_exit is not None and os.getpid() != self._parent:
            self._at_exit.cancel()
            self._end("success", True)

    def _end(self, status: str, well: bool) -> None:
        for logger in self.loggers:
            logger.finalize(status)
        self._close(well)
