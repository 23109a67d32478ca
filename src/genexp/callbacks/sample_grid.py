"""Pictures during training: the same noise and the same labels at every evaluation, under one fixed key."""

import torch
from lightning import Callback, Trainer
from torch import Tensor

from genexp.callbacks.progress import shown
from genexp.callbacks.trainee import PictureLogger, Trainee
from genexp.contracts import ImageMap, Progress, Sampler
from genexp.sampling.conditions import Conditions, as_in_training
from genexp.sampling.draw import draw, in_images, network_evaluations, to_draw
from genexp.sampling.latent_mixture import fit_to_training_images
from genexp.tensors import Grid, IndexedNoise, Plane


class SampleGrid(Callback):
    """Draw one grid of samples after every validation and hand it to the loggers that take pictures.

    The first `num` sample indices of `seed` are drawn every time, so the slider over training and two runs side by side
    show the same noise. Classes come in turn, as in evaluations and
    `genexp sample`. Averaged weights are in place during validation.

    Args:
        sampler: How the samples are drawn.
        num: Images in the grid.
        columns: Samples a row; by default ten for ten classes, else a square.
        seed: Seed of the noise.
        points: Samples in place of `num` where they are points of the plane.
    """

    def __init__(
        self,
        sampler: Sampler,
        num: int = 64,
        columns: int | None = None,
        seed: int = 0,
        points: int = 2500,
    ) -> None:
        for name, value in (("num", num), ("points", points), ("columns", columns)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1 sample, got {value}")
        self.sampler, self.num, self.columns, self.points = sampler, num, columns, points
        self.seed = seed

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Say before training what the sampler cannot do with the model's schedule."""
        self.sampler.require(pl_module.source())

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Draw on rank zero alone; nothing here depends on the other ranks."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        batch = next(iter(trainer.datamodule.eval_loader("val")))
        batch = {name: value[: self.num].to(pl_module.device) for name, value in batch.items()}
        fit_to_training_images(self.sampler, pl_module.source(), trainer.datamodule, pl_module.device)
        caption = f"{pl_module.images_seen} images seen, seed {self.seed}"
        conditions = as_in_training(pl_module.conditioning, trainer.datamodule)
        plane = trainer.datamodule.plane()
        count, source = self.num if plane is None else self.points, pl_module.source()
        line = (
            f"grid        {to_draw(count, self.sampler, source)}" if network_evaluations(self.sampler, source) else None
        )
        with shown(trainer, "grid", count, line) as advance:
            grids = self.grids(pl_module, batch, plane, conditions, in_images(advance, count))
        for key, grid in grids.items():
            for logger in trainer.loggers:
                if isinstance(logger, PictureLogger):
                    logger.log_picture(key, grid, step=pl_module.images_seen, caption=caption)

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
