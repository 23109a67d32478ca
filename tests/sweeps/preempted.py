"""A callback that does to its job what a cluster does which wants its node back."""

import os
import signal
from pathlib import Path

from lightning import Callback


class Preempted(Callback):
    """Sends the signal of a pre-emption after so many images, once; 0 never does.

    Args:
        images: When.
        number: The signal's number.
    """

    def __init__(self, images: int, number: int = signal.SIGUSR2) -> None:
        self.images, self.number = images, number

    def on_train_batch_end(self, trainer, pl_module, *_):
        told = Path(os.environ["GENEXP_RUN_DIR"]) / "preempted"
        if self.images and trainer.is_global_zero and pl_module.images_seen >= self.images and not told.exists():
            told.touch()
            os.kill(os.getpid(), self.number)
