"""A run folder made live again: its configuration, its values, its model, its pictures."""

import hashlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from omegaconf import DictConfig, OmegaConf

from genexp.config.weights_choice import WeightsChoice
from genexp.extras import require_extra
from genexp.files.json_records import is_there
from genexp.files.partial import LAID_OUT
from genexp.files.trees import Tree
from genexp.runs.directions import direction
from genexp.runs.measurements import Measurement, measurements
from genexp.runs.notebook_table import Rows
from genexp.runs.records import load_recorded
from genexp.runs.run_folder import RunFolder
from genexp.runs.stored import read_run
from genexp.runs.strangers import data_of
from genexp.terminal import shown_path

if TYPE_CHECKING:  # tables and histories of many runs are read without torch
    from torch import Tensor

    from genexp.families.base import Family


@dataclass(frozen=True)
class Run:
    """One run, read from its folder alone.

    Attributes:
        folder: The files.
        weights: Which weights `model` carries: `averaged` (the raw ones where a run kept no average), `raw`, or one of
            several averages, see `WeightsChoice`.
        checkpoint: The checkpoint file that `model` is read from.
        stands_in: Whether it is `last.ckpt` in the place of a `best.ckpt` that is not there.
        trusted: Whether the data are taken from where a run of another user names them.
    """

    folder: RunFolder
    weights: str
    checkpoint: Path
    stands_in: bool = False
    trusted: bool = False
    trained: ClassVar[bool] = True

    @cached_property
    def config(self) -> DictConfig:
        """The resolved configuration of the run."""
        return load_recorded(self.folder.config_path)

    @cached_property
    def data(self) -> DictConfig:
        """The configuration of its data, with places that may be opened, see `data_of`."""
        return data_of(self.config, self.folder, self.trusted)

    @cached_property
    def model(self) -> "Family":
        """The trained family on the CPU, in evaluation mode."""
        from genexp.callbacks.checkpoint import load_checkpoint
        from genexp.callbacks.checkpoint_contents import put_in_place, restore
        from genexp.config.instantiate import build
        from genexp.families.low_rank import merge
        from genexp.inference.quantising import quantised
        from genexp.inference.recovery import averages_of

        checkpoint = load_checkpoint(self.checkpoint)
        if self.stands_in:
            self._say_why()
        model = build(drawn_from(self.config.model))
        if self.config.get("adapters") is not None:
            build(self.config.adapters).adapt(model)
        restore(model, checkpoint, self.checkpoint)
        choice = WeightsChoice.read(self.weights)
        averages = averages_of(checkpoint, choice, self.folder.path)
        put_in_place(model, averages, self.checkpoint)
        merge(model)
        model.eval().requires_grad_(False)
        return model if choice.quantised is None else quantised(model, choice.quantised)

    @cached_property
    def digest(self) -> str:
        """Sha256 of the checkpoint."""
        return hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()

    def _say_why(self) -> None:
        """Say why the weights are those of `last.ckpt` where one would expect the best ones."""
        if _best(self.folder) == self.folder.last:
            print("checkpoint  last.ckpt, the best: a kill kept it from becoming best.ckpt", file=sys.stderr)
        elif self.config.training.get("monitor") is not None:
            print("checkpoint  last.ckpt: no evaluation of this run has been its best yet", file=sys.stderr)

    @property
    def members(self) -> "tuple[Run, ...]":
        """The runs that the weights are of: this one alone, unless it is a `Soup`."""
        return (self,)

    @property
    def subject(self) -> Tree:
        """What a measurement or a drawing is of, for a record."""
        record = {"run": self.folder.record["id"], "checkpoint": self.checkpoint.name}
        return {**record, "images_seen": self.model.images_seen}

    @property
    def metrics(self) -> Tree:
        """The closing values."""
        return self.folder.metrics

    @property
    def history(self) -> Rows:
        """Every logged line, each with `images_seen`."""
        return Rows(self.folder.history())

    @property
    def table(self) -> Rows:
        """The newest values as a table, each with what it was measured with.

        `metric`, `value`, `better` (lower, higher, or reference: that of real images is the aim), `real images` (what
        held-out ones reach), `error` (standard error), `source` (the training run itself or a later `genexp evaluate`)
        and, where images were drawn, `generated`, `reference`, `weights`, `sampler` and `seed`.
        """
        return Rows(_as_row(each) for each in measurements(read_run(self.folder.path)))

    def samples(
        self, num: int, seed: int = 0, label: int | None = None, device: str = "cpu", **condition: object
    ) -> "Tensor":
        """Draw images with the run's own sampler; image i is the one that `genexp sample` draws for this seed.

        Args:
            num: How many.
            seed: Seed of the noise.
            label: One class for every image; by default all classes in turn.
            device: Where to draw: `cpu`, `cuda` or `auto`.
            condition: Further conditions of a model that has any, by name: `caption="a red circle"`.

        Returns:
            Images (num, C, H, W) in [-1, 1], or points (num, 2), on the CPU.

        Raises:
            ValueError: `num` is below 1, a condition is none of the model's, or the model draws no images.
        """
        from genexp.inference.drawing import Drawing, require_drawable

        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}")
        told = condition if label is None else {"label": label, **condition}
        drawing = Drawing(self, self.config.sampler, device, seed, 256, told)
        if drawing.has_start:
            require_drawable(self.model, self.config.sampler)
        return drawing.images(num)

    @property
    def pictures(self) -> list[Path]:
        """The PNG files drawn during training and by `genexp sample`, in order of name."""
        found = self.folder.samples.rglob("*.png")
        return sorted(each for each in found if not any(part.startswith(".") for part in each.parts[-3:]))

    def name_of(self, *how: str) -> str:
        """Name of a folder for what is drawn from the model: how, then the weights.

        In front stands the checkpoint, unless it is the one that is taken where none is asked for.

        Args:
            how: Seed, sampler and the like, as they stand in a file's name.
        """
        usual = self.checkpoint.resolve() == default_checkpoint(self.folder).resolve()
        return "_".join([*([] if usual else [self.checkpoint.stem]), *how, self.weights])


def default_checkpoint(folder: RunFolder) -> Path:
    """The checkpoint that is taken where none is asked for: `best` where the run kept one, else `last`."""
    best = _best(folder)
    return best if is_there(best) else folder.last


def drawn_from(model: DictConfig) -> DictConfig:
    """A model without what only its training needs: goal, teacher and pairs of a student, whose run may be gone."""
    return OmegaConf.merge(model, {key: None for key in ("goal", "teacher", "pairs") if model.get(key) is not None})


def _best(folder: RunFolder) -> Path:
    """`best.ckpt`, or what a kill kept from becoming it."""
    if not is_there(folder.checkpoints / LAID_OUT):  # as good as always; asked without torch
        return folder.checkpoints / "best.ckpt"
    from genexp.callbacks.checkpoint import best_checkpoint

    return best_checkpoint(folder.checkpoints)


def load_run(path: Path | str, weights: str = "averaged", checkpoint: str | None = None, trust: bool = False) -> Run:
    """Open a run folder for use in Python.

    Args:
        path: The run folder, or any file in it.
        weights: `averaged`, `raw`, `averaged@<half-life in images>` or `post_hoc@<width>`; see `WeightsChoice`.
        checkpoint: `best`, `last`, or a file; by default `best` where the run kept one.
        trust: Where another user wrote the run, take its data from the places that it names.

    Raises:
        ValueError: `weights` is none of these.
        FileNotFoundError: there is no run, or it has no such checkpoint.
        DamagedRun: a file of the run cannot be read, or is none that a run writes.
    """
    choice = WeightsChoice.read(weights)
    weights = str(choice)
    if choice.quantised is not None:
        require_extra("torchao", f"weights={weights}", "quantise")
    folder = RunFolder.open(path)
    read_run(folder.path).require_id()  # told now, and not when images have been drawn
    named = {None: default_checkpoint, "best": _best, "last": lambda folder: folder.last}
    file = named[checkpoint](folder) if checkpoint in named else Path(checkpoint)
    if not file.is_file():
        raise FileNotFoundError(_lacking(folder, checkpoint))
    return Run(folder, weights, file, stands_in=checkpoint != "last" and file == folder.last, trusted=trust)


def _lacking(folder: RunFolder, asked: str | None) -> str:
    """Why a run has no such checkpoint, which it has, and what to type."""
    there = sorted(path.stem for path in folder.checkpoints.glob("*.ckpt"))
    if there:
        known = " or ".join(name for name in ("best", "last") if name in there) or "a file"
        files = ", ".join(f"{name}.ckpt" for name in there)
        told = f"checkpoint must be {known} of this run, or a file, got {asked}"
        return f"{told}; {shown_path(folder.checkpoints)} holds {files}"
    every, command = load_recorded(folder.config_path).training.get("checkpoint_every"), folder.record.get("command")
    told = f"run must have a checkpoint, and {shown_path(folder.path)} has none: the first comes after {every} images"
    if folder.is_running:
        return f"{told}, and its training goes on"
    return f"{told}, and its training ended before; begin it anew" + (f": {command}" if command else "")


def _as_row(each: Measurement) -> Tree:
    protocol = each.protocol or {}
    better = direction(each.key, each.better, {})
    row = {"metric": each.key, "value": each.value, "better": better, "real images": each.floor, "error": each.error}
    drawn = {"generated": protocol.get("n_generated"), "reference": protocol.get("reference")}
    return row | {"source": each.source} | drawn | {name: protocol.get(name) for name in ("weights", "sampler", "seed")}
