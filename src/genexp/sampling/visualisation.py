"""Pictures of how images are drawn: between noises and classes, moments of denoising, one noise drawn in many ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from genexp.conditioning.base import Condition, Conditioning
from genexp.contracts import LatentDecoder, Sampler
from genexp.contracts.preparing import Reads
from genexp.sample_kinds import SampleKind
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.between import Between
from genexp.sampling.completion import Completing, upper_half
from genexp.sampling.conditions import Conditions
from genexp.sampling.draw import draw, shares
from genexp.sampling.interpolation import path
from genexp.sampling.sizes import of_one_size, whole
from genexp.sampling.walking import Walking
from genexp.tensors import Grid, IndexedNoise
from genexp.terminal import few_digits

PAIRS = 8
"""Pairs that are shown side by side."""


@dataclass(frozen=True)
class Pictures:
    """A model and a sampler whose drawing is to be looked at. Sample i has the noise and the condition of any drawing.

    Args:
        model: What the sampler draws from.
        sampler: How it draws.
        seed: Seed of the noise.
        conditions: What the samples of a conditional model are drawn under, or None.
        device: Where the model is.
        batch_size: Images drawn at a time.
    """

    model: object
    sampler: Sampler
    seed: int = 0
    conditions: Conditions | None = None
    device: torch.device | str = "cpu"
    batch_size: int = 64

    def interpolation(self, rows: int, count: int) -> Grid:
        """`rows` arcs of `count` images each between the noises of the samples 2i and 2i + 1, told what 2i is told.

        Pictures that it is told stand before the arc.

        Raises:
            ValueError: the sampler adds fresh noise.
        """
        require_path(self.sampler)
        pairs = [IndexedNoise(self.seed, range(side, 2 * rows, 2), self.device) for side in (0, 1)]
        starts = path(*(self.sampler.start(self.model, noise) for noise in pairs), count).flatten(0, 1)
        indices = [2 * row for row in range(rows) for _ in range(count)]
        images = self._drawn(starts, indices, told := self._told(indices)).unflatten(0, (rows, count))
        kinds = self.model.conditioning.pictures if told and SampleKind.IMAGES.has(images[0]) else {}  # not of videos
        shown = {name: told[name][::count, : kind.picture[-3]].cpu() for name, kind in kinds.items()}
        columns = torch.stack(of_one_size([*shown.values(), *images.unbind(1)]), 1) if shown else images
        across, down = [*shown, *_per_cent(count)], [f"noise {2 * row} to {2 * row + 1}" for row in range(rows)]
        return Grid(columns.flatten(0, 1), len(across), across, down)

    def between_classes(self, rows: int, count: int, num_classes: int) -> Grid:
        """One noise a row, under `count` mixtures of the classes of the samples 2i and 2i + 1, from one to the other.

        A network reads shares of classes as the weighted sum of its class vectors.

        Reference: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
        (2019), figure 8.
        """
        told = self._told(range(2 * rows))
        ends = functional.one_hot(told["label"], num_classes).float()
        place = torch.linspace(0, 1, count, device=ends.device)[None, :, None]
        shares = (ends[0::2, None] * (1 - place) + ends[1::2, None] * place).flatten(0, 1)
        indices = [2 * row for row in range(rows) for _ in range(count)]
        starts = self.sampler.start(self.model, IndexedNoise(self.seed, indices, self.device))
        images = self._drawn(starts, indices, {**self._told(indices), "label": shares})
        classes = told["label"].tolist()
        down = [f"class {a} to {b}" for a, b in zip(classes[0::2], classes[1::2], strict=True)]
        return Grid(images, count, _per_cent(count), down)

    def between_embeddings(self, name: str, rows: int, count: int) -> Grid:
        """One noise a row, told `count` embeddings on the arc between those of the samples 2i and 2i + 1.

        Reference: Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents" (2022), section
        3.2.
        """
        told = self._told(range(2 * rows))[name]
        indices = [2 * row for row in range(rows) for _ in range(count)]
        starts = self.sampler.start(self.model, IndexedNoise(self.seed, indices, self.device))
        arcs = path(told[0::2], told[1::2], count).flatten(0, 1)
        images = self._drawn(starts, indices, {**self._told(indices), name: arcs})
        return Grid(images, count, _per_cent(count), [f"embedding {2 * row} to {2 * row + 1}" for row in range(rows)])

    def between_texts(self, name: str, rows: int, count: int) -> Grid:
        """One noise a row, told `count` texts on the line between those of the samples 2i and 2i + 1, see `Between`.

        The ends are what is drawn of this noise under either text.

        Raises:
            TypeError: the model attends to no text.
        """
        if not isinstance(self.model, Reads) or name not in self.model.attends:
            raise TypeError(f"between_texts needs a model that attends to {name}, got {type(self.model).__name__}")
        texts, indices = self._told(range(2 * rows))[name], [2 * row for row in range(rows) for _ in range(count)]
        first, second = (texts[side::2].repeat_interleave(count, 0) for side in (0, 1))
        weight = torch.linspace(0, 1, count, device=first.device).repeat(rows)
        parts = []
        for begin in range(0, len(indices), self.batch_size):
            some = slice(begin, begin + self.batch_size)
            encoder = Between(self.model.network, name, first[some], second[some], weight[some])
            noise = IndexedNoise(self.seed, indices[some], self.device)
            told = {**self._told(indices[some]), name: first[some]}
            start = self.sampler.start(self.model, noise)
            parts.append(self.sampler.run(self.model.encoding(encoder), start, noise, told).cpu())
        return Grid(
            torch.cat(parts), count, _per_cent(count), [f"text {2 * row} to {2 * row + 1}" for row in range(rows)]
        )

    def denoising(self, rows: int, frames: int) -> Grid:
        """Moments of denoising: every sample has a row of noisy images above one of the clean images they stand for.

        Raises:
            ValueError: the sampler takes no steps.
        """
        sampler = require_steps(self.sampler)
        noise = IndexedNoise(self.seed, range(rows), self.device)
        start = sampler.start(self.model, noise)
        moments = sampler.trajectory(self.model, start, noise, self._told(range(rows)), frames)
        noisy = torch.stack([moment.x_t for moment in moments], dim=1).cpu()
        clean = torch.stack([moment.x_0 for moment in moments], dim=1).cpu()
        across = [f"t = {few_digits(moment.time)}" for moment in moments]
        down = [kind for row in range(rows) for kind in (f"sample {row}: noisy", "denoised")]
        return Grid(torch.stack([noisy, clean], dim=1).flatten(0, 2), len(moments), across, down)

    def sheet(self, samplers: Mapping[str, Sampler], columns: int) -> Grid:
        """A row a sampler, by the words beside it, of the samples 0 to `columns` - 1: one column has one noise."""
        parts = [
            draw(self.model, sampler, indices, self.seed, self.conditions, self.device)["image"].cpu()
            for sampler in samplers.values()
            for indices in shares(columns, self.batch_size)
        ]
        return Grid(torch.cat(parts), columns, [f"noise {column}" for column in range(columns)], list(samplers))

    def pairs(self, conditioning: Conditioning, told: Condition, real: Tensor | None = None) -> Grid:
        """Columns of what every image is made of, the image, and the real one of the same pictures; of videos, rows.

        Args:
            conditioning: The conditions, of which some are pictures; smaller ones are shown by larger pixels.
            told: Conditions of the samples 0 to N - 1, on the device.
            real: Real images (N, C, H, W) of the same conditions, or None.
        """
        count = len(next(iter(told.values())))
        start = self.sampler.start(self.model, IndexedNoise(self.seed, range(count), self.device))
        shown = {n: told[n][..., : kind.picture[-3], :, :].cpu() for n, kind in conditioning.pictures.items()}
        shown["generated"] = self._drawn(start, range(count), told)
        shown |= {} if real is None else {"real": real.cpu()}
        if SampleKind.VIDEO.has(shown["generated"]):
            frames = torch.stack([whole(each, shown["generated"]) for each in shown.values()], 1)
            return Grid(frames.flatten(0, 1), len(shown), list(shown), [f"{i}" for i in range(count)])
        return Grid(torch.cat(of_one_size([*shown.values()])), count, [f"{i}" for i in range(count)], list(shown))

    def completion(self, images: Tensor, told: Condition, turns: int = 3) -> Grid:
        """A row an image: itself, its upper half, and completions of that.

        Args:
            images: Real images (N, C, H, W), on the device.
            told: Their conditions, on the device.
            turns: Completions of each.

        Raises:
            ValueError: the sampler completes nothing.
        """
        if not isinstance(self.sampler, Completing):
            raise ValueError(f"sampler must draw values in their order to complete, got {type(self.sampler).__name__}")
        known, count = upper_half(images), len(images)
        rows = torch.arange(count, device=images.device).repeat_interleave(turns)
        start = self.sampler.start(self.model, IndexedNoise(self.seed, range(count * turns), self.device))
        of_rows = {name: values[rows] for name, values in told.items()}
        drawn = self.sampler.completed(self.model, start, images[rows], known, of_rows)
        columns = [images[:, None], images.where(known, 0)[:, None], drawn.unflatten(0, (count, turns))]
        across = ["given", "kept", *(f"drawn {turn + 1}" for turn in range(turns))]
        return Grid(torch.cat(columns, 1).flatten(0, 1).cpu(), turns + 2, across, [f"{i}" for i in range(count)])

    def _drawn(self, starts: Tensor, indices: Sequence[int], condition: Condition) -> Tensor:
        """The images (B, C, H, W) of starts (B, ...), in batches."""
        parts = []
        for first in range(0, len(starts), self.batch_size):
            some = slice(first, first + self.batch_size)
            noise = IndexedNoise(self.seed, indices[some], self.device)
            told = {name: values[some] for name, values in condition.items()}
            parts.append(self.sampler.run(self.model, starts[some], noise, told).cpu())
        return torch.cat(parts)

    def _told(self, indices: Sequence[int]) -> Condition:
        told = {} if self.conditions is None else self.conditions.of(indices)
        return {name: values.to(self.device) for name, values in told.items()}


def _per_cent(count: int) -> list[str]:
    return [f"{100 * i / (count - 1):.0f} %" for i in range(count)]


def has_path(sampler: Sampler) -> bool:
    """Whether images follow from their starting noise alone, so that a path of noises gives a path of images."""
    return not isinstance(sampler, DiffusionSampler) or sampler.deterministic


def mixes_classes(model: object) -> bool:
    """Whether it is one pass from a latent and a class to an image, so that classes can be mixed."""
    return isinstance(model, LatentDecoder) and "label" in model.conditioning.names


def require_path(sampler: Sampler) -> None:
    """Check that a path of noises gives a path of images.

    Raises:
        ValueError: the sampler adds fresh noise in its steps.
    """
    if not has_path(sampler):
        raise ValueError(
            "interpolate must be 0 for a sampler that adds fresh noise in its steps, as its images do not follow from "
            f"the noise that they start from, got {type(sampler).__name__}; sampler=ddim is one without"
        )


def require_steps(sampler: Sampler) -> Walking:
    """The sampler, as one whose steps can be shown.

    Raises:
        ValueError: it takes none.
    """
    if not isinstance(sampler, Walking):
        raise ValueError(f"frames must be 0 for a sampler without steps of denoising, got {type(sampler).__name__}")
    return sampler
