"""Pictures during training: the same noise and the same labels at every evaluation, under one fixed key."""

import torch
from lightning import Callback, Trainer
from torch import Tensor

from genexp.callbacks.evolution import Evolution
from genexp.callbacks.progress import shown
from genexp.callbacks.trainee import PictureLogger, Trainee
from genexp.contracts import Autoregressive, ImageMap, Progress, Sampler
from genexp.files.trees import State
from genexp.sample_kinds import kind_of
from genexp.sampling.completion import Completing
from genexp.sampling.conditions import Conditions, as_in_training, as_noisy
from genexp.sampling.draw import draw, in_images, network_evaluations, to_draw, told_by
from genexp.sampling.latent_mixture import fit_to_training_images
from genexp.sampling.visualisation import PAIRS, Pictures, mixes_classes, require_path, require_steps
from genexp.tensors import Grid, IndexedNoise, Plane


class SampleGrid(Callback):
    """Draw one grid of samples after every validation and hand it to the loggers that take pictures.

    The first `num` sample indices of `seed` are drawn every time, so the slider over training and two runs side by side
    show the same noise. Classes come in turn, as in evaluations and `genexp sample`. Averaged weights are in place
    during validation. A model that is told pictures has a picture `pairs` beside: those of the first held-out examples,
    what is drawn of them, and the examples. One that draws values in their order has a picture `completion`: the first
    held-out examples, their upper halves, and what is drawn below these.

    Args:
        sampler: How the samples are drawn.
        num: Images in the grid.
        columns: Samples a row; by default ten for ten classes, else a square.
        seed: Seed of the noise.
        points: Samples in place of `num` where they are points of the plane.
        interpolate: Images on the arc between two noises, a row a pair, in a picture `interpolation`; 0 for none. Of a
            model that makes images of classes in one pass also a picture `classes`, from one class to another.
        frames: Moments of denoising that a picture `denoising` shows of every sample; 0 for none.
        rows: Pairs, and samples, of these two pictures; examples that are completed.
        evolution: Samples that a picture `evolution` follows over the whole of training; 0 for none.

    Raises:
        ValueError: a number is out of range, or the sampler has no such picture.
    """

    def __init__(
        self,
        sampler: Sampler,
        num: int = 64,
        columns: int | None = None,
        seed: int = 0,
        points: int = 2500,
        interpolate: int = 0,
        frames: int = 0,
        rows: int = 6,
        evolution: int = 0,
    ) -> None:
        for name, value in (("num", num), ("points", points), ("columns", columns), ("rows", rows)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 sample, got {value}")
        for name, value in (("interpolate", interpolate), ("frames", frames)):
            if value < 0 or value == 1:
                raise ValueError(f"{name} must be 0 or at least 2, got {value}")
        if evolution < 0:
            raise ValueError(f"evolution must be at least 0 samples, got {evolution}")
        if interpolate:
            require_path(sampler)
        if frames:
            require_steps(sampler)
        self.sampler, self.num, self.columns, self.points = sampler, num, columns, points
        self.seed, self.interpolate, self.frames, self.rows = seed, interpolate, frames, rows
        self.evolution = Evolution(evolution) if evolution else None

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Say before training what the sampler cannot do with the model's schedule, or what cannot be shown.

        Raises:
            ValueError: arcs or moments are asked for of points, or of a model that maps images.
        """
        source = pl_module.source()
        self.sampler.require(source)
        if self.evolution and not kind_of(trainer.datamodule.shape).pictured:
            raise ValueError("evolution must be 0 for points of the plane, got samples to follow")
        if (self.interpolate or self.frames) and (isinstance(source, ImageMap) or trainer.datamodule.plane()):
            raise ValueError(
                "interpolate and frames must be 0 for points and for a model that maps images, got "
                f"{self.interpolate} and {self.frames}"
            )

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Draw on rank zero alone; nothing here depends on the other ranks."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        batch = next(iter(trainer.datamodule.eval_loader("val")))
        batch = {name: value[: self.num].to(pl_module.device) for name, value in batch.items()}
        fit_to_training_images(self.sampler, pl_module.source(), trainer.datamodule, pl_module.device)
        caption = f"{pl_module.images_seen} images seen, seed {self.seed}"
        told = told_by(self.sampler, pl_module.source(), pl_module.conditioning)
        conditions = as_in_training(told, trainer.datamodule, self.seed)
        plane = trainer.datamodule.plane()
        count, source = self.num if plane is None else self.points, pl_module.source()
        line = (
            f"grid        {to_draw(count, self.sampler, source)}" if network_evaluations(self.sampler, source) else None
        )
        with shown(trainer, "grid", count, line) as advance:
            grids = self.grids(pl_module, batch, plane, conditions, in_images(advance, count))
        if self.evolution:
            grids["evolution"] = self.evolution.add(pl_module.images_seen, grids["samples"].samples)
        for key, grid in grids.items():
            for logger in trainer.loggers:
                if isinstance(logger, PictureLogger):
                    logger.log_picture(key, grid, step=pl_module.images_seen, caption=caption)

    def state_dict(self) -> State:
        """The samples that are followed, as they were."""
        return {} if self.evolution is None else {"evolution": self.evolution.state_dict()}

    def load_state_dict(self, state_dict: State) -> None:
        """Go on with them; those of a run that followed none begin now."""
        if self.evolution is not None and "evolution" in state_dict:
            self.evolution.load_state_dict(state_dict["evolution"])

    def grids(
        self,
        model: Trainee,
        batch: dict[str, Tensor],
        plane: Plane | None = None,
        conditions: Conditions | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Grid]:
        """The pictures of a model in its present state: `samples` and whatever the family adds."""
        indices = range(self.num if plane is None else self.points)
        shown = {"samples": Grid(self._samples(model, batch, indices, conditions, progress), self.columns, plane=plane)}
        looked_at = Pictures(model.source(), self.sampler, self.seed, conditions, model.device)
        if self.interpolate:
            shown["interpolation"] = looked_at.interpolation(self.rows, self.interpolate)
            if mixes_classes(model.source()):
                classes = model.conditioning.num_classes
                shown["classes"] = looked_at.between_classes(self.rows, self.interpolate, classes)
        if self.frames:
            shown["denoising"] = looked_at.denoising(self.rows, self.frames)
        told = told_by(self.sampler, model.source(), model.conditioning)
        if told.pictures:
            first = {name: rows[:PAIRS] for name, rows in batch.items()}
            shown["pairs"] = looked_at.pairs(told, as_noisy(told.told(first), conditions), first["image"])
        if isinstance(self.sampler, Completing) and isinstance(model.source(), Autoregressive):
            first = {name: rows[: self.rows] for name, rows in batch.items()}
            shown["completion"] = looked_at.completion(first["image"], told.told(first))
        beside = IndexedNoise(self.seed, range(len(next(iter(batch.values())))), model.device)
        return shown | model.extra_grids(batch, beside)

    def _samples(
        self,
        model: Trainee,
        batch: dict[str, Tensor],
        indices: range,
        conditions: Conditions | None,
        progress: Progress | None,
    ) -> Tensor:
        source = model.source()
        if isinstance(source, ImageMap):
            return self.sampler.run(source, batch, IndexedNoise(self.seed, indices, model.device), progress=progress)
        return draw(source, self.sampler, indices, self.seed, conditions, model.device, progress)["image"]
