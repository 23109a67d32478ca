"""When things happen, counted in images: the end of training and the lines of the log."""

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from genexp.callbacks.trainee import Trainee
from genexp.files.trees import State, Tree

_SUMS = "log_terms"


def crossed(before: int, now: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]."""
    return before // every != now // every


def evaluation_follows(trainer: Trainer) -> bool:
    """Whether Lightning evaluates after the batch that has just ended; the rule is its own."""
    return bool(trainer.fit_loop.epoch_loop._should_check_val_fx(trainer.fit_loop._data_fetcher))


def go_on(trainer: Trainer) -> None:
    """Raise where the run has been asked to end: of an evaluation Lightning itself looks between its batches alone.

    Raises:
        SIGTERMException: SIGTERM has come. The evaluation is owed then, and made when the run is continued.
    """
    if trainer.received_sigterm:
        raise SIGTERMException


class StopAfter(Callback):
    """End training with the batch in which `images` images have been seen, whatever the number of optimiser steps.

    Args:
        images: Length of training in images, over all processes.
    """

    def __init__(self, images: int) -> None:
        if images <= 0:
            raise ValueError(f"images must be a positive number, got {images}")
        self.images = images

    def on_train_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Do nothing more when a resumed run has already seen them all."""
        trainer.should_stop = trainer.should_stop or pl_module.images_seen >= self.images

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: object) -> None:
        """Stop once the images are seen; Lightning then runs a last evaluation."""
        if pl_module.images_seen >= self.images:
            trainer.should_stop = True


class LogTerms(Callback):
    """Send the mean of every loss term to the loggers every `every` images, and validation means after validation.

    What has been summed since the last line goes into every checkpoint, from each rank its own.

    Args:
        every: Images between two lines.
    """

    def __init__(self, every: int) -> None:
        if every <= 0:
            raise ValueError(f"every must be a positive number of images, got {every}")
        self.every = every
        self._logged_at = 0
        self._kept: Tree | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Count the interval from where training starts."""
        self._logged_at = pl_module.images_seen

    def on_train_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Go on with the sums of the checkpoint that training starts from."""
        if self._kept is not None:
            totals = self._kept["totals"]
            same = len(totals) == trainer.world_size  # else every rank goes on with the mean: so does that of the ranks
            mine = totals[trainer.global_rank] if same else totals.mean(0)
            pl_module.terms.load_state(self._kept["groups"], mine.to(pl_module.device))
            self._kept = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: object) -> None:
        """Log on the interval, and before training stops."""
        now = pl_module.images_seen
        if crossed(self._logged_at, now, self.every) or trainer.should_stop:
            self._logged_at = now
            values = pl_module.reduced(pl_module.terms.flush()) | pl_module.learning_rates()
            publish(trainer, now, values)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Log the held-out means and offer them to early stopping."""
        means = pl_module.validation_means()
        if means and not trainer.sanity_checking:
            publish(trainer, pl_module.images_seen, means)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Store the sums since the last line, (ranks, terms); every rank takes part in writing a checkpoint."""
        groups, totals = pl_module.terms.state()
        gathered = trainer.strategy.all_gather(totals).reshape(trainer.world_size, -1) if groups else totals[None]
        checkpoint[_SUMS] = {"groups": groups, "totals": gathered.cpu()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Keep the sums until the model is on its device."""
        self._kept = checkpoint.get(_SUMS)


def publish(trainer: Trainer, images_seen: int, values: dict[str, float]) -> None:
    """Hand values to every logger and to whatever monitors them, on the one x-axis of images seen.

    What an evaluation measures can be monitored by its short name too, as `fd` for `fd/digits_classifier@42f2cb7d`.
    """
    short = {name.partition("/")[0]: value for name, value in values.items() if not name.startswith(("train/", "val/"))}
    monitored = {name: torch.tensor(value, dtype=torch.float64) for name, value in (short | values).items()}
    trainer.callback_metrics.update(monitored)
    for logger in trainer.loggers:
        logger.log_metrics(values, step=images_seen)


def published(trainer: Trainer) -> dict[str, float]:
    """The newest of all published values by their whole names."""
    short = {name.partition("/")[0] for name in trainer.callback_metrics if "/" in name}
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name not in short}
