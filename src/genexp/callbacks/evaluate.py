"""Metrics during training: the same noise at every evaluation, the same code as for a finished run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from genexp.callbacks.averaging import Averaging
from genexp.callbacks.cadence import go_on, publish
from genexp.callbacks.merging import merged
from genexp.callbacks.progress import shown
from genexp.callbacks.trainee import EvaluationLogger, PictureLogger
from genexp.contracts import Batch, FeatureExtractor, Sampler
from genexp.evaluation.cache import TensorCache
from genexp.evaluation.captions import require_told
from genexp.evaluation.dealing import dealt
from genexp.evaluation.evaluator import Evaluator, Reference, Summary
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.base import Metric, ModelMetric
from genexp.evaluation.over_model import require_data, scores_of_model
from genexp.evaluation.scores import Generated, Score, described
from genexp.figures.curves import curve_figure
from genexp.figures.samples import Figure
from genexp.files.trees import State, Tree
from genexp.sampling.conditions import Conditions, as_in_training
from genexp.sampling.draw import draw, in_images, shares, to_draw, told_by
from genexp.sampling.latent_mixture import fit_to_training_images

if TYPE_CHECKING:
    from genexp.data.datamodule import ImageData
    from genexp.families.base import Family

Numbers = dict[str, float]
Records = dict[str, Tree]
"""Values by their keys: numbers, and all that they mean."""


class Evaluate(Callback):
    """Compare `num` generated images with real ones at every validation, and measure the model itself.

    Real images are summarised before training starts, so that bad input is found then. Every process draws a share of
    the samples and rank zero computes the values: they do not depend on the number of processes. Each value is
    published under the key of its protocol beside its floor, the value that the held-out split reaches. Averaged
    weights are in place during validation, and are what is measured.

    Args:
        sampler: How images are drawn.
        extractor: The features that metrics compare in.
        metrics: The metrics by name, of images and of the model; none means that nothing is done.
        num: Generated images of an evaluation.
        batch_size: Images drawn at a time.
        seed: Seed of the noise.
        reference: Split of the real images.
        floor: Split that the floor is measured on, or None for no floor.
        cache: Folder for summaries of real images, or None to keep none.
        told: Split whose conditions the images of a conditional model are drawn under.
    """

    def __init__(
        self,
        sampler: Sampler,
        extractor: FeatureExtractor,
        metrics: Mapping[str, Metric | ModelMetric],
        num: int = 1000,
        batch_size: int = 250,
        seed: int = 0,
        reference: Literal["train", "val", "test"] = "train",
        floor: Literal["train", "val", "test"] | None = "test",
        cache: str | None = None,
        told: Literal["train", "val", "test"] = "train",
    ) -> None:
        if num < 2:
            raise ValueError(f"num must be at least 2 images, got {num}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 image, got {batch_size}")
        self.sampler, self.num, self.batch_size, self.seed = sampler, num, batch_size, seed
        self.reference, self.floor, self.told = reference, floor, told
        self.of_model = {name: metric for name, metric in metrics.items() if metric.kind == "model"}
        compared = {name: metric for name, metric in metrics.items() if name not in self.of_model}
        self.evaluator = Evaluator(extractor, compared, TensorCache(cache) if cache else None)
        self.latest: dict[str, float] = {}
        self.protocols: dict[str, dict[str, str | int]] = {}
        self._real: Reference | None = None
        self._floor: dict[str, Score] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: "Family") -> None:
        """Look at the sampler and the real images before training, so that what is wrong with them is said then."""
        for part in (self.sampler, *self.of_model.values()):
            part.require(pl_module.source())
        data = trainer.datamodule
        require_told(self.evaluator.metrics, told_by(self.sampler, pl_module.source(), pl_module.conditioning).kinds)
        require_data(self.of_model, data.num_classes is not None, data.factors("val") is not None, others=False)
        if self.evaluator.metrics and trainer.is_global_zero:
            self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        device = trainer.strategy.root_device
        self._real = self.evaluator.reference(image_set(trainer.datamodule, self.reference, device), self.num)
        if self.floor is not None:
            held_out = image_set(trainer.datamodule, self.floor, device)
            self._floor = self.evaluator.floor(held_out, self._real, self.num)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: "Family") -> None:
        """Measure the model as it stands and publish the values on every rank."""
        if trainer.sanity_checking or not (self.evaluator.metrics or self.of_model):
            return
        summary = merged(trainer, self.generate(trainer, pl_module)) if self.evaluator.metrics else {}
        values, records = self._values(trainer, pl_module, summary) if trainer.is_global_zero else ({}, {})
        self.latest = trainer.strategy.broadcast(values)
        publish(trainer, pl_module.images_seen, self.latest)
        for logger in trainer.loggers if records else []:
            if isinstance(logger, EvaluationLogger):
                logger.log_evaluations(records, step=pl_module.images_seen)

    def generate(self, trainer: Trainer, pl_module: "Family") -> Summary:
        """Draw and summarise this process's share of the samples, in evaluation mode."""
        conditions = self._conditions(trainer, pl_module)
        mine = [*shares(self.num, self.batch_size, trainer.global_rank, trainer.world_size)]
        group, _ = self._dealt(conditions)
        with evaluating(pl_module):
            source = pl_module.source()
            fit_to_training_images(self.sampler, source, trainer.datamodule, pl_module.device)
            line = f"evaluating  {to_draw(self.num, self.sampler, source)}"
            with shown(trainer, "evaluate", sum(map(len, mine)), line) as advance:

                def drawn(indices: range) -> Batch:
                    steps = in_images(advance, len(indices))
                    batch = draw(source, self.sampler, indices, self.seed, conditions, pl_module.device, steps)
                    return {**batch, "group": group[indices.start : indices.stop]}

                return self.evaluator.summarise(map(drawn, mine))

    def _conditions(self, trainer: Trainer, pl_module: "Family") -> Conditions | None:
        told = told_by(self.sampler, pl_module.source(), pl_module.conditioning)
        return as_in_training(told, trainer.datamodule, self.seed, self.told)

    def _values(self, trainer: Trainer, pl_module: "Family", summary: Summary) -> tuple[Numbers, Records]:
        """The numbers for loggers, with their floors, and the record of every value."""
        weights, values, records = weights_in_use(trainer, pl_module), {}, {}
        scores: dict[str, Score] = {}
        if summary:
            if self._real is None:
                self._look(trainer)
            dealing = self._dealt(self._conditions(trainer, pl_module))[1]
            sampler = described(self.sampler, self.told)
            generated = Generated(self.num, self.seed, weights, sampler, dealing)
            scores |= self.evaluator.scores(summary, self._real, generated)
        with evaluating(pl_module):
            split = partial(image_set, trainer.datamodule, device=pl_module.device, before_each=partial(go_on, trainer))
            scores |= scores_of_model(self.of_model, pl_module.source(), split, self.seed, weights)
        self._show_curves(trainer, pl_module, scores, weights)
        for key, score in scores.items():
            values[key] = score.value.value
            records[key] = score.record(self._floor.get(key))
            self.protocols[key] = score.protocol.record()
            if key in self._floor:
                values[score.protocol.floor_key] = self._floor[key].value.value
        return values, records

    def _show_curves(self, trainer: Trainer, pl_module: "Family", scores: Mapping[str, Score], weights: str) -> None:
        """Hand what values are means of to the loggers that take pictures."""
        for score in scores.values():
            if (curve := score.value.curve) is None:
                continue
            of = f"{pl_module.images_seen} images seen, {weights} weights, {score.protocol.reference}, seed {self.seed}"
            picture = Figure(partial(curve_figure, curve.columns, curve.across, curve.upwards, of))
            for logger in trainer.loggers:
                if isinstance(logger, PictureLogger):
                    logger.log_picture(score.protocol.metric, picture, step=pl_module.images_seen, caption=of)

    def _dealt(self, conditions: Conditions | None) -> tuple[Tensor, str]:
        return dealt(self.num, None if conditions is None else conditions.of(range(self.num)).get("label"))

    def state_dict(self) -> State:
        """The protocol of every value, so that a checkpoint says what its numbers are."""
        return {"protocols": self.protocols}

    def load_state_dict(self, state_dict: State) -> None:
        """Restore the protocols."""
        self.protocols = dict(state_dict["protocols"])


def weights_in_use(trainer: Trainer, pl_module: "Family") -> str:
    """Which weights validation looks at: `averaged` or `raw`."""
    for callback in trainer.callbacks:
        if isinstance(callback, Averaging) and (callback.modules or pl_module.averaged_modules):
            return "averaged"
    return "raw"


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within, a module is in evaluation mode; after, every sub-module is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def image_set(
    datamodule: "ImageData", split: str, device: torch.device, before_each: Callable[[], None] = lambda: None
) -> ImageSet:
    """A split of a data module as the evaluator reads it, on the device that the features are computed on.

    Args:
        datamodule: The data.
        split: Name of the split.
        device: The device.
        before_each: Called before every batch.
    """
    return ImageSet(
        name=split,
        digest=datamodule.digest(split),
        count=datamodule.split_size(split),
        shape=tuple(datamodule.shape),
        batches=partial(_batches, datamodule, split, device, before_each),
        labelled=datamodule.num_classes is not None,
        factors=datamodule.factors(split),
    )


def _batches(data: "ImageData", split: str, device: torch.device, before_each: Callable[[], None]) -> Iterator[Batch]:
    for batch in data.reference(split):
        before_each()
        yield {name: rows.to(device) for name, rows in batch.items() if name != "index"}
