"""Drawing images from a trained model, batch by batch, with a progress display."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.conditioning.base import Conditioning
from genexp.conditioning.embedded import Embedded
from genexp.conditioning.kinds import Words
from genexp.config.instantiate import build
from genexp.config.trial import refused
from genexp.contracts import FittedSampler, ImageMap, Sampler, Source
from genexp.contracts.preparing import Reads
from genexp.hardware import device_of
from genexp.inference.conditions import conditions_of
from genexp.inference.editing import Editing
from genexp.inference.sampler_config import told_of
from genexp.inference.watermarks import Watermark
from genexp.sample_kinds import kind_of
from genexp.sampling.between import tells_it_alone
from genexp.sampling.conditions import Conditions, as_noisy
from genexp.sampling.draw import draw, in_images, network_evaluations, shares, told_by
from genexp.sampling.latent_mixture import fit_to_training_images
from genexp.sampling.visualisation import PAIRS, Pictures, mixes_classes
from genexp.sampling.walking import Walking
from genexp.tensors import Grid, IndexedNoise, Plane
from genexp.terminal import progress

if TYPE_CHECKING:
    from genexp.families.base import Family
    from genexp.inference.run import Run


class After(Protocol):
    """What samples are told that are made after those of another run."""

    names: tuple[str, ...]  # of the conditions that the other run draws

    def conditions(self, told: Conditioning) -> Conditions | None:
        """What is told, of conditions that look like `told`."""
        ...


class Drawing:
    """A trained model and a sampler, ready to draw.

    Args:
        run: The run, with its model; its data are read where the sampler or the model needs them.
        sampler: Configuration of the sampler.
        device: `auto`, `cpu` or `cuda`.
        seed: Seed of the noise.
        batch_size: Images drawn at a time.
        condition: What every image is drawn under, by name; what is not given is as it was in training.
        editing: Given pictures that the images begin with, and what becomes of them; None for noise alone.
        after: What says what is told after another run; then `condition` is read there. None for a run alone.
        watermark: The mark that images get, or None.

    Raises:
        ValueError: the sampler does not fit the model, the pictures or the watermark; the model has no such condition,
            or a value is none of it.
    """

    def __init__(
        self,
        run: "Run",
        sampler: DictConfig,
        device: str,
        seed: int,
        batch_size: int,
        condition: Mapping[str, object] | None = None,
        editing: Editing | None = None,
        after: "After | None" = None,
        watermark: Watermark | None = None,
    ) -> None:
        self.device, self.seed, self.batch_size = device_of(device), seed, batch_size
        self.source, self.run, self.editing = run.model.to(self.device).source(), run, editing
        self.watermark = watermark
        self.sampler = self._ready(sampler)
        told = told_by(self.sampler, self.source, run.model.conditioning)
        self.num_classes = told.num_classes
        alone = after is None and self.has_start
        self.conditions = conditions_of(run, condition, told, seed) if alone else after and after.conditions(told)
        self.told, self._typed = told, (*(condition or ()), *(after.names if after else ()))

    @property
    def has_start(self) -> bool:
        """Whether images grow from noise, so that noises can be interpolated."""
        return not isinstance(self.source, ImageMap)

    @property
    def is_pictured(self) -> bool:
        """Whether samples are pictures, and no points."""
        return not self.has_start or kind_of(self.run.config.data.shape).pictured

    @property
    def has_trajectory(self) -> bool:
        """Whether the sampler takes steps that can be shown."""
        return isinstance(self.sampler, Walking)

    @property
    def evaluations(self) -> int | None:
        """How often the network is evaluated for an image; None where the sampler does not go on in steps."""
        return network_evaluations(self.sampler, self.source)

    def images(self, num: int) -> Tensor:
        """The images of the sample indices 0 .. num - 1, on the CPU: (num, C, H, W), or points (num, 2)."""
        images = self._drawn(num) if self.has_start else self._rendered(num)
        return images if self.watermark is None else self.watermark.after(images)

    def _drawn(self, num: int) -> Tensor:
        parts = []
        with progress("sample", num) as advance:
            for indices in shares(num, self.batch_size):
                steps = in_images(advance, len(indices))
                drawn = draw(self.source, self.sampler, indices, self.seed, self.conditions, self.device, steps)
                parts.append(drawn["image"].cpu())
        return torch.cat(parts)

    @property
    def plane(self) -> Plane | None:
        """Where points of the model's data are shown; None for images."""
        return build(self.run.data).plane()

    @property
    def pictures(self) -> Pictures:
        """What shows how the sampler draws from the model."""
        return Pictures(self.source, self.sampler, self.seed, self.conditions, self.device, self.batch_size)

    def between(self, rows: int, count: int) -> dict[str, Callable[[], Grid]]:
        """What draws one noise under mixtures of what samples are told, by the names of the pictures.

        Args:
            rows: Rows of a picture.
            count: Mixtures a row, from what one sample is told to what the next is.
        """
        found: dict[str, Callable[[], Grid]] = {}
        if mixes_classes(self.source) and "label" not in self._typed:
            found["classes.png"] = lambda: self.pictures.between_classes(rows, count, self.num_classes)
        attended = self.source.attends if isinstance(self.source, Reads) and tells_it_alone(self.sampler) else ()
        texts = [name for name in attended if isinstance(self.told.kinds[name], Words)]
        if len(texts) == 1 and len(self.conditions.of(range(2))[texts[0]].unique(dim=0)) > 1:
            found["texts.png"] = lambda: self.pictures.between_texts(texts[0], rows, count)
        embedded = [name for name, kind in self.told.kinds.items() if isinstance(kind, Embedded)]
        if len(embedded) == 1:
            found["embeddings.png"] = lambda: self.pictures.between_embeddings(embedded[0], rows, count)
        return found

    @property
    def has_pairs(self) -> bool:
        """Whether images are made of pictures that can be shown beside them."""
        return self.has_start and self.is_pictured and self.editing is None and bool(self.told.pictures)

    def pairs(self, num: int) -> Grid:
        """At most 8 of the samples below `num` beside the pictures that they are made of.

        Where a person gave no pictures, these are those of the first held-out examples, which stand below.
        """
        count = min(num, PAIRS)
        given = {} if self.conditions is None else self.conditions.of(range(count))
        real = None
        if not set(self._typed) & set(self.told.pictures):
            data = build(self.run.data)
            count = min(count, data.split_size("val"))
            examples = data.examples("val", torch.arange(count))
            typed = {name: rows[:count] for name, rows in given.items() if name in self._typed}
            told = as_noisy(self.told.told(examples), self.conditions)
            given, real = {**told, **typed}, examples["image"]
        told = {name: rows.to(self.device) for name, rows in given.items()}
        return self.pictures.pairs(self.told, told, real)

    def sheet(self, ways: Mapping[str, DictConfig], columns: int) -> Callable[[], Grid]:
        """What draws the same noises by a sampler a row; all that could be wrong with these is found before.

        Args:
            ways: Their configurations, by the words beside the rows.
            columns: Samples a row.

        Raises:
            ValueError: one does not fit the model.
        """
        samplers = {}
        for words, node in ways.items():
            with told_of(words):
                samplers[words] = self._ready(node)
        return partial(self.pictures.sheet, samplers, columns)

    def _ready(self, node: DictConfig) -> Sampler:
        """A sampler that fits the model, fitted to its training images, and begun with the given pictures."""
        sampler = build(node)
        require_fitting(sampler, self.source, node)
        if self.watermark is not None:
            self.watermark.require(tuple(self.run.config.data.shape), sampler, self.source)
            sampler = self.watermark.before(sampler)
        if isinstance(sampler, FittedSampler) and self.run.trained:
            fit_to_training_images(sampler, self.source, build(self.run.data), self.device)
        return sampler if self.editing is None else self.editing.of(sampler, self.source)

    def _rendered(self, num: int) -> Tensor:
        data = build(self.run.data)
        data.setup()
        parts, count = [], 0
        for batch in data.eval_loader("val"):
            batch = {name: value.to(self.device) for name, value in batch.items()}
            parts.append(self.sampler.run(self.source, batch, IndexedNoise(self.seed, [], self.device)).cpu())
            count += len(parts[-1])
            if count >= num:
                break
        return torch.cat(parts)[:num]


def require_fitting(sampler: object, model: object, node: DictConfig) -> None:
    """Check that a sampler draws from a trained model.

    Args:
        sampler: The sampler.
        model: What it would draw from.
        node: Its configuration.

    Raises:
        ValueError: it does not, or no sampler does; a setting that does not fit is named by its key.
    """
    try:
        sampler.require(model)
    except ValueError as error:
        raise ValueError(str(refused(error, "sampler", OmegaConf.to_container(node)))) from error
    except TypeError as error:
        if isinstance(model, Source):
            raise ValueError(f"sampler must fit the model of the run: {error}") from error
        name = type(model).__name__
        raise ValueError(f"run must be of a model that draws images from noise, got {name}: {error}") from error


def require_drawable(model: "Family", sampler: DictConfig) -> None:
    """Check that a trained family draws images from noise with this sampler.

    Raises:
        ValueError: it does not.
    """
    drawing, source = build(sampler), model.source()
    require_fitting(drawing, source, sampler)
    try:
        if not isinstance(drawing, FittedSampler):
            drawing.start(source, IndexedNoise(0, [0]))
    except TypeError as error:
        name = type(model).__name__
        raise ValueError(f"run must be of a model that draws images from noise, got {name}: {error}") from error
