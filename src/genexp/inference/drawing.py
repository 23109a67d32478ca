"""Drawing images from a trained model, batch by batch, with a progress display."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.config.instantiate import build
from genexp.config.trial import refused
from genexp.contracts import FittedSampler, ImageMap, Source
from genexp.hardware import device_of
from genexp.inference.conditions import conditions_of
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.draw import draw, in_images, network_evaluations, shares
from genexp.sampling.interpolation import path
from genexp.sampling.latent_mixture import fit_to_training_images
from genexp.tensors import Grid, IndexedNoise, Plane
from genexp.terminal import few_digits, progress


class Drawing:
    """A trained model and a sampler, ready to draw.

    Args:
        run: The run, with its model; its data are read where the sampler or the model needs them.
        sampler: Configuration of the sampler.
        device: `auto`, `cpu` or `cuda`.
        seed: Seed of the noise.
        batch_size: Images drawn at a time.
        condition: What every image is drawn under, by name; what is not given is as it was in training.

    Raises:
        ValueError: the sampler does not fit the model; the model has no such condition, or a value is none of it.
    """

    def __init__(
        self,
        run: Any,
        sampler: DictConfig,
        device: str,
        seed: int,
        batch_size: int,
        condition: Mapping[str, object] | None = None,
    ) -> None:
        self.device, self.seed, self.batch_size = device_of(device), seed, batch_size
        self.source, self.sampler, self.run = run.model.to(self.device).source(), build(sampler), run
        require_fitting(self.sampler, self.source, sampler)
        if isinstance(self.sampler, FittedSampler):
            fit_to_training_images(self.sampler, self.source, build(self.run.data), self.device)
        self.num_classes = run.model.conditioning.num_classes
        self.conditions = conditions_of(run, condition) if self.has_start else None

    @property
    def has_start(self) -> bool:
        """Whether images grow from noise, so that noises can be interpolated."""
        return not isinstance(self.source, ImageMap)

    @property
    def has_trajectory(self) -> bool:
        """Whether the sampler takes steps that can be shown."""
        return isinstance(self.sampler, DiffusionSampler)

    @property
    def evaluations(self) -> int | None:
        """How often the network is evaluated for an image; None where the sampler does not go on in steps."""
        return network_evaluations(self.sampler, self.source)

    def images(self, num: int) -> Tensor:
        """The images of the sample indices 0 .. num - 1, on the CPU: (num, C, H, W), or points (num, 2)."""
        if not self.has_start:
            return self._rendered(num)
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

    def interpolation(self, rows: int, count: int) -> Grid:
        """`rows` arcs of `count` images each between the noises of the samples 2i and 2i + 1."""
        pairs = [IndexedNoise(self.seed, range(side, 2 * rows, 2), self.device) for side in (0, 1)]
        starts = path(*(self.sampler.start(self.source, noise) for noise in pairs), count).flatten(0, 1)
        indices = [2 * row for row in range(rows) for _ in range(count)]
        condition = self._conditions(indices)
        parts = []
        for first in range(0, len(starts), self.batch_size):
            some = slice(first, first + self.batch_size)
            noise = IndexedNoise(self.seed, indices[some], self.device)
            self.sampler.start(self.source, noise)  # steps draw on from where the start left off
            told = {name: rows[some] for name, rows in condition.items()}
            parts.append(self.sampler.run(self.source, starts[some], noise, told).cpu())
        across = [f"{100 * i / (count - 1):.0f} %" for i in range(count)]
        return Grid(torch.cat(parts), count, across, [f"noise {2 * row} to {2 * row + 1}" for row in range(rows)])

    def strip(self, rows: int, frames: int) -> Grid:
        """Moments of denoising: every sample has a row of noisy images above one of the clean images they stand for."""
        noise = IndexedNoise(self.seed, range(rows), self.device)
        start = self.sampler.start(self.source, noise)
        moments = self.sampler.trajectory(self.source, start, noise, self._conditions(range(rows)), frames)
        noisy = torch.stack([moment.x_t for moment in moments], dim=1).cpu()
        clean = torch.stack([moment.x_0 for moment in moments], dim=1).cpu()
        across = [f"t = {few_digits(moment.time)}" for moment in moments]
        down = [kind for row in range(rows) for kind in (f"sample {row}: noisy", "denoised")]
        return Grid(torch.stack([noisy, clean], dim=1).flatten(0, 2), len(moments), across, down)

    def _conditions(self, indices: Sequence[int]) -> Condition:
        told = {} if self.conditions is None else self.conditions.of(indices)
        return {name: rows.to(self.device) for name, rows in told.items()}

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


def require_fitting(sampler: Any, model: object, node: DictConfig) -> None:
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


def require_drawable(model: Any, sampler: DictConfig) -> None:
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
