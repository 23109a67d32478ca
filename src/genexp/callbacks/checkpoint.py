"""Checkpoints that survive a kill: `last` replaced atomically, `best` written by the evaluation that measured it."""

import json
import math
import os
import shutil
import sys
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint

from genexp.callbacks.cadence import crossed, evaluation_follows, published
from genexp.callbacks.checkpoint_contents import StoredCheckpoint
from genexp.callbacks.trainee import Trainee
from genexp.files.json_records import require_shape
from genexp.files.partial import LAID_OUT
from genexp.files.trees import State, Tree
from genexp.files.writing import flush, write_atomically, written_beside
from genexp.tensors import require_sound


class Checkpoints(Checkpoint):
    """Write `last.ckpt` on an interval and around evaluations, and `best.ckpt` when the monitored value improves.

    A file appears under its name only when it is complete and on disk, so a kill at any moment leaves the previous one.
    Nothing is written once a loss term has become non-finite.

    Args:
        directory: Folder of the checkpoints.
        every: Images between two writes of `last.ckpt`.
        monitor: Name of an evaluation value, or its part before the first slash (`fd`); None keeps no best.
        mode: Whether the smaller (`min`) or the larger (`max`) value is better.
    """

    def __init__(self, directory: str, every: int, monitor: str | None = None, mode: str = "min") -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, got {mode!r}")
        if every <= 0:
            raise ValueError(f"every must be a positive number of images, got {every}")
        self.directory = Path(directory)
        self.every, self.monitor, self.mode = every, monitor, mode
        self.best: Tree | None = None
        self.judge_anew = False
        """Set where a resumed run judges otherwise than before: its best so far then counts for nothing."""
        self._saved_at = 0

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Count the interval from where training starts."""
        self._saved_at = pl_module.images_seen

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: object) -> None:
        """Write `last.ckpt` on the interval, and before an evaluation, which takes long and then writes it again."""
        if crossed(self._saved_at, pl_module.images_seen, self.every) or evaluation_follows(trainer):
            self._write(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Write `last.ckpt`, and `best.ckpt` with it when this evaluation is the best so far."""
        if trainer.sanity_checking or not trainer.fit_loop.epoch_loop.batch_progress.total.ready:
            return
        value = self._monitored(trainer)
        improved = value is not None and self._better(value[1])
        if improved:
            self.best = {"metric": value[0], "value": value[1], "images_seen": pl_module.images_seen}
        self._write(trainer, pl_module, is_best=improved)

    def on_train_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Write the final state when no evaluation has done so."""
        if self._saved_at != pl_module.images_seen:
            self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: Trainee, is_best: bool = False) -> None:
        """Write `last.ckpt`; one that is the best is also laid out for `best.ckpt` before it counts.

        So wherever a kill falls, either `best.ckpt` is the best that `last.ckpt` knows of, or `last.ckpt` is itself the
        best and what was laid out says that `best.ckpt` may be old.
        """
        pl_module.terms.require_finite()
        self._saved_at = pl_module.images_seen
        partial, last = self.directory / ".last.ckpt.partial", self.directory / "last.ckpt"
        with written_beside(partial, last):
            trainer.save_checkpoint(partial)
            if trainer.is_global_zero:
                flush(partial)
                if is_best:
                    _twin(partial, self.directory / LAID_OUT)
                os.replace(partial, last)
                if is_best:
                    self._settle_best()
        trainer.strategy.barrier()

    def _settle_best(self) -> None:
        os.replace(self.directory / LAID_OUT, self.directory / "best.ckpt")
        self._describe_best()

    def _describe_best(self) -> None:
        write_atomically(self.directory / "best.json", json.dumps(self.best, indent=2) + "\n")

    def take_up(self, checkpoint: Path | str, images_seen: int) -> None:
        """Make `best.ckpt` the best that the checkpoint knows of from which training starts; rank zero alone calls it.

        A `best.ckpt` of another course of the run (an older checkpoint is continued) is kept under a name of its own.

        Args:
            checkpoint: The file that training starts from.
            images_seen: Images seen by it.
        """
        path = self.directory / "best.ckpt"
        there = best_of(load_checkpoint(path)) if path.is_file() else None
        if there is not None and there["images_seen"] > images_seen:
            kept = path.with_name(f"best_at_{there['images_seen']}.ckpt")
            os.replace(path, kept)
            print(f"best        best.ckpt is of another course of the run and is now {kept.name}", file=sys.stderr)
            there = None
        if self.best is not None and self.best["images_seen"] == images_seen and there != self.best:
            _twin(Path(checkpoint), self.directory / LAID_OUT)
            self._settle_best()
        elif there != self.best:
            self._begin_anew(path)
        elif self.best is not None:
            self._describe_best()
        for partial in self.directory.glob(".*.partial"):
            partial.unlink(missing_ok=True)

    def _begin_anew(self, path: Path) -> None:
        """Search the best anew where the file of the best so far is not there."""
        if self.best is not None:
            what = "another one" if path.is_file() else "gone"
            print(f"best        searched anew: best.ckpt is {what}", file=sys.stderr)
        self.best = None
        (self.directory / "best.json").unlink(missing_ok=True)

    def _monitored(self, trainer: Trainer) -> tuple[str, float] | None:
        if self.monitor is None:
            return None
        values = published(trainer)
        found = [name for name in sorted(values) if name == self.monitor or name.split("/")[0] == self.monitor]
        if not found:
            known = ", ".join(sorted(values)) or "nothing"
            raise ValueError(f"training.monitor must name a value of the evaluation ({known}), got {self.monitor!r}")
        return found[0], values[found[0]]

    def _better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        return value < self.best["value"] if self.mode == "min" else value > self.best["value"]

    def state_dict(self) -> State:
        """The best evaluation so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: State) -> None:
        """Restore the best evaluation."""
        self.best = None if self.judge_anew else state_dict["best"]


def best_of(checkpoint: State) -> Tree | None:
    """The best evaluation that a checkpoint knows of: its `metric`, `value` and `images_seen`."""
    return checkpoint.get("callbacks", {}).get("Checkpoints", {}).get("best")


def best_checkpoint(directory: Path) -> Path:
    """The checkpoint of the best evaluation, which need not exist: `best.ckpt`, or `last.ckpt` after a kill between.

    Args:
        directory: Folder of the checkpoints.
    """
    last = directory / "last.ckpt"
    if (directory / LAID_OUT).exists() and last.is_file():
        checkpoint = load_checkpoint(last)
        best = best_of(checkpoint)
        if best is not None and best["images_seen"] == checkpoint["counters"]["images_seen"]:
            return last
    return directory / "best.ckpt"


def _twin(path: Path, twin: Path) -> None:
    """A second name for a file that is never written to again, or a copy where files have one name only."""
    twin.unlink(missing_ok=True)
    try:
        os.link(path, twin)
    except OSError:
        shutil.copyfile(path, twin)
        flush(twin)


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint's plain containers on the CPU; nothing in it can run code.

    Every part is held against its checksum first, so that a flipped bit in a weight is told.

    Raises:
        ValueError: the file is damaged or not a genexp checkpoint.
    """
    require_sound(path, "checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # PyTorch's message advises to load it without weights_only: not passed on
        raise ValueError(f"checkpoint must hold tensors and plain containers only, got others in {path}") from error
    if not isinstance(checkpoint, dict) or "counters" not in checkpoint:
        raise ValueError(f"checkpoint must be written by genexp (it has no counters), got {path}")
    return require_shape(checkpoint, StoredCheckpoint, f"checkpoint {path}")
