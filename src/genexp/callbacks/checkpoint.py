"""Checkpoints that survive a kill: `last` replaced atomically, `best` written by the evaluation that measured it."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint

from genexp.callbacks.cadence import crossed
from genexp.contracts import Trainee
from genexp.tensors import require_sound


class Checkpoints(Checkpoint):
    """Write `last.ckpt` on an interval and after evaluations, and `best.ckpt` when the monitored value improves.

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
        self.best: dict[str, Any] | None = None
        self.judge_anew = False
        """Set where a resumed run judges otherwise than before: its best so far then counts for nothing."""
        self._saved_at = 0

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Count the interval from where training starts."""
        self._saved_at = pl_module.images_seen

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: Any) -> None:
        """Write `last.ckpt` on the interval; when an evaluation follows this batch, it is written after it."""
        if trainer.should_stop and trainer.enable_validation:
            return
        if crossed(self._saved_at, pl_module.images_seen, self.every):
            self._write_last(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Write `last.ckpt`, and `best.ckpt` with it when this evaluation is the best so far."""
        if trainer.sanity_checking or not trainer.fit_loop.epoch_loop.batch_progress.total.ready:
            return
        value = self._monitored(trainer)
        improved = value is not None and self._better(value[1])
        if improved:
            self.best = {"metric": value[0], "value": value[1], "images_seen": pl_module.images_seen}
        self._write_last(trainer, pl_module)
        if improved and trainer.is_global_zero:
            replace_file(self.directory / "best.ckpt", lambda path: shutil.copyfile(self.directory / "last.ckpt", path))
            text = json.dumps(self.best, indent=2) + "\n"
            replace_file(self.directory / "best.json", lambda path: path.write_text(text))

    def on_train_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Write the final state when no evaluation has done so."""
        if self._saved_at != pl_module.images_seen:
            self._write_last(trainer, pl_module)

    def _write_last(self, trainer: Trainer, pl_module: Trainee) -> None:
        pl_module.terms.require_finite()
        self._saved_at = pl_module.images_seen
        partial = self.directory / ".last.ckpt.partial"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            settle(partial, self.directory / "last.ckpt")
        trainer.strategy.barrier()

    def _monitored(self, trainer: Trainer) -> tuple[str, float] | None:
        if self.monitor is None:
            return None
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        found = [name for name in sorted(values) if name == self.monitor or name.split("/")[0] == self.monitor]
        if not found:
            known = ", ".join(sorted(values)) or "nothing"
            raise ValueError(f"monitor must name a value of the evaluation ({known}), got {self.monitor!r}")
        return found[0], values[found[0]]

    def _better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        return value < self.best["value"] if self.mode == "min" else value > self.best["value"]

    def state_dict(self) -> dict[str, Any]:
        """The best evaluation so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best evaluation."""
        self.best = None if self.judge_anew else state_dict["best"]


def replace_file(path: Path, write: Any) -> None:
    """Let `write(partial_path)` make a file, then put it at `path` in one atomic step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    settle(partial, path)


def settle(partial: Path, path: Path) -> None:
    """Flush a finished file to disk and rename it to `path`."""
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
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
    return checkpoint
