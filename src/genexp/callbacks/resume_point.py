"""How a run goes on from a checkpoint as if it had never stopped: what the checkpoint owes is done first, once."""

from dataclasses import dataclass
from typing import Protocol

from lightning import Callback, Trainer

from genexp.callbacks.cadence import evaluation_follows
from genexp.callbacks.checkpoint import Checkpoints
from genexp.callbacks.trainee import Trainee
from genexp.files.trees import State

_KEY = "continuation"


@dataclass(frozen=True)
class ResumePoint:
    """Where a checkpoint stands in its run.

    Attributes:
        images_seen: Images seen when it was written.
        evaluation_owed: Whether the evaluation after its last batch had still to be made.
        lines: Lines of the journal that lie behind it; None in checkpoints that do not say (genexp 0.1).
    """

    images_seen: int = 0
    evaluation_owed: bool = False
    lines: int | None = 0

    @classmethod
    def of(cls, checkpoint: State) -> "ResumePoint":
        """The point that a checkpoint's plain containers describe."""
        stored = checkpoint.get(_KEY, {"evaluation_owed": False, "lines": None})
        return cls(checkpoint["counters"]["images_seen"], **stored)

    def shows(self, images_seen: int) -> bool:
        """Whether a picture drawn at `images_seen` lies behind the checkpoint."""
        return images_seen < self.images_seen or (images_seen == self.images_seen and not self.evaluation_owed)


class Lines(Protocol):
    """What counts the lines of a run's journal."""

    @property
    def lines(self) -> int:
        """Lines written so far; known on rank zero."""
        ...


class Resumption(Callback):
    """Write into every checkpoint what it owes, and pay that when training starts from it.

    Lightning counts an evaluation as made once its batch is over. So a checkpoint that is written between a batch and
    the evaluation after it says that this evaluation is owed, and how many lines of the journal lie behind it. A run
    that starts from it puts `best.ckpt` in order and makes the evaluation before its next batch, once everything has
    been restored.

    Args:
        journal: What counts the lines.
        point: Where the checkpoint stands that training starts from; None for a new run.
    """

    def __init__(self, journal: Lines, point: ResumePoint | None = None) -> None:
        self.journal, self.point = journal, point

    def on_train_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Put the best checkpoint in order, then make the evaluation that is owed."""
        if self.point is None:
            return
        for callback in trainer.checkpoint_callbacks:
            if trainer.is_global_zero and isinstance(callback, Checkpoints):
                callback.take_up(trainer.ckpt_path, pl_module.images_seen)
        if self.point.evaluation_owed and trainer.enable_validation:
            _evaluate(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Say whether an evaluation follows, and how many lines have been written."""
        owed = trainer.training and evaluation_follows(trainer)
        checkpoint[_KEY] = {"evaluation_owed": owed, "lines": self.journal.lines}


def _evaluate(trainer: Trainer) -> None:
    """The evaluation between two batches, as Lightning's training loop makes it."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.restarting = False  # from its first batch on
    trainer.validating = True
    loop.run()
    trainer.training = True
