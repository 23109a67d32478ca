"""Drawing that begins with given images: from a noised start, or from the noise that they are drawn from."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts import Denoiser, Sampler
from genexp.contracts.codecs import codec_of
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.conditions import typed_for
from genexp.sampling.guidance import Unguided
from genexp.sampling.inversion import inverted, inverting_evaluations, require_invertible
from genexp.sampling.levels import Level
from genexp.sampling.refining import Refined
from genexp.sampling.walking import Snapshot, Walking
from genexp.tensors import IndexedNoise


@dataclass(frozen=True)
class Originals:
    """What is edited: sample i begins with image i, and with the first again after the last.

    Args:
        images: Images (N, *image_shape) in [-1, 1].
        known: Where they are to be kept, (N, 1, H, W) bool, or one (1, 1, H, W) for all; None where nothing is said.
    """

    images: Tensor
    known: Tensor | None = None

    def of(self, noise: IndexedNoise) -> tuple[Tensor, Tensor | None]:
        """The images of the samples that a noise is of, and where they are to be kept."""
        rows = torch.tensor(noise.indices)
        known = None if self.known is None else self.known[rows % len(self.images) % len(self.known)].to(noise.device)
        return self.images[rows % len(self.images)].to(noise.device), known


class Edit(Protocol):
    """What makes of a sampler of the kind `edits` one that begins with given images; ValueError where it cannot."""

    @property
    def edits(self) -> type: ...

    @property
    def wants_mask(self) -> bool: ...

    def __call__(self, sampler: Any, originals: Originals) -> Sampler: ...


def require_like(originals: Originals, shape: Sequence[int]) -> None:
    """Raise ValueError unless given images have the shape (C, H, W) of a model's."""
    if tuple(originals.images.shape[1:]) != tuple(shape):
        raise ValueError(f"images must have the shape {tuple(shape)}, got {tuple(originals.images.shape[1:])}")


class Edited(Walking):
    """A diffusion sampler that begins with given images; its grid, clipping and guidance are those of the sampler."""

    def __init__(self, sampler: DiffusionSampler, originals: Originals) -> None:
        self.sampler, self.originals = sampler, originals

    def require(self, model: object) -> None:
        """Check that the sampler draws from the model, and that the images are like the model's.

        Raises:
            TypeError: it is no denoiser.
            ValueError: the sampler does not fit the model, or the images have another shape.
        """
        self.sampler.require(model)
        codec = codec_of(model)
        require_like(self.originals, model.image_shape if codec is None else codec.image_shape)

    def start(self, model: Denoiser, noise: IndexedNoise) -> Tensor:
        """Standard normal noise (B, *image_shape), as the sampler begins with where there are no images."""
        self.require(model)
        return self.sampler.start(model, noise)

    def conditioning_of(self, model: Denoiser) -> Conditioning:
        """What is told when a model is drawn from."""
        return self.sampler.conditioning_of(model)

    def images_of(self, model: Denoiser, noise: IndexedNoise) -> Tensor:
        """The images of the samples, in codes where the model has them."""
        images, codec = self.originals.of(noise)[0], codec_of(model)
        return images if codec is None else codec.encode(images)

    def evaluations_of(self, model: Denoiser) -> int:
        """How often the denoiser of a model is evaluated for an image."""
        raise TypeError(f"{type(self).__name__} must define evaluations_of")


@dataclass(frozen=True)
class Noised:
    """Begin with the image and noise, x_t = alpha x + sigma eps, at the time of `strength`, and go on as always.

    That time is the noisiest of the sampler's grid up to the one below which a share `strength` of training's times
    lies. At strength 1 nothing is left of the image, and samples are those without it, bit for bit.

    Reference: Meng et al., "SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations" (2022),
    algorithm 1.

    Args:
        strength: How far the images may go from what is given, in (0, 1].

    Raises:
        ValueError: `strength` lies outside (0, 1].
    """

    strength: float = 0.5
    edits = DiffusionSampler
    wants_mask = False

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength must lie in (0, 1], got {self.strength}")

    def __call__(self, sampler: DiffusionSampler, originals: Originals) -> Edited:
        """The sampler that begins there."""
        return _Noised(sampler, originals, self.strength)


class _Noised(Edited):
    def __init__(self, sampler: DiffusionSampler, originals: Originals, strength: float) -> None:
        super().__init__(sampler, originals)
        self.strength = strength

    def levels(self, model: Denoiser) -> list[Level]:
        """The end of the sampler's grid."""
        levels = self.sampler.levels(model.schedule)
        if self.strength == 1:
            return levels
        time = float(model.schedule.times(torch.tensor([self.strength], dtype=torch.float64)))
        kept = [level for level in levels if level.time <= time]
        if len(kept) < 2:
            least, last = levels[-2].time, model.schedule.last
            raise ValueError(
                f"strength must reach the sampler's least noisy time, {least:g} of {last:g}, got {self.strength:g}, "
                f"which is {time:g}: take more steps"
            )
        return kept

    def require(self, model: object) -> None:
        """Check as every edit does, and that the grid has times up to that of the strength."""
        super().require(model)
        self.levels(model)

    def steps_of(self, model: Denoiser) -> int:
        return len(self.levels(model)) - 1

    def evaluations_of(self, model: Denoiser) -> int:
        return self.sampler.evaluations_in(self.steps_of(model))

    def walk(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL
    ) -> Iterator[Snapshot]:
        if self.strength == 1:
            yield from self.sampler.walk(model, start, noise, condition)
            return
        levels = self.levels(model)
        x_t = levels[0].alpha * self.images_of(model, noise) + levels[0].sigma * start
        yield from self.sampler.onward(model, x_t, levels, noise, condition)


@dataclass(frozen=True)
class Inverted:
    """Begin with the noise that the image is drawn from, found by the sampler's own steps taken backwards.

    What the image is known to be (`source`) is told on the way to the noise, without guidance; the way back is told
    what the sample is to be, and guided. Where both are the same and nothing guides, the image comes back but for the
    errors of the steps. What training never left out, such as edges, is told on both ways where `source` does not say
    another, for the model knows no way without it.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), section 4.3.

    Args:
        source: Conditions of the given images, as a person types them, by name; None tells nothing else. Of several
            sample i has number i, and the first again after the last.
    """

    source: Mapping[str, object] | None = None
    edits = DiffusionSampler
    wants_mask = False

    def __call__(self, sampler: DiffusionSampler, originals: Originals) -> Edited:
        """The sampler that begins there.

        Raises:
            ValueError: it adds fresh noise.
        """
        require_invertible(sampler)
        return _Inverted(sampler, originals, self.source or {})


class _Inverted(Edited):
    def __init__(self, sampler: DiffusionSampler, originals: Originals, source: Mapping[str, object]) -> None:
        super().__init__(sampler, originals)
        self.source, self.unguided = source, copy.copy(sampler)
        kept = sampler.guidance  # a refiner is of the model, no guidance
        self.unguided.guidance = replace(kept, inside=Unguided()) if isinstance(kept, Refined) else Unguided()

    def require(self, model: object) -> None:
        """Check as every edit does, and that the model knows the conditions of the images."""
        super().require(model)
        try:
            model.conditioning.read(self.source)
        except ValueError as error:
            raise ValueError(f"source must say what the model is told: {error}") from error

    def steps_of(self, model: Denoiser) -> int:
        return self.sampler.steps_of(model)

    def evaluations_of(self, model: Denoiser) -> int:
        return inverting_evaluations(self.sampler, model) + self.sampler.evaluations(model.schedule)

    def walk(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL
    ) -> Iterator[Snapshot]:
        images, known = self.images_of(model, noise), model.conditioning
        needed = known.kinds.keys() - set(known.optional)  # a guidance may tell more than the model knows
        always = {name: rows for name, rows in condition.items() if name in needed}
        told = {**always, **typed_for(known, self.source, noise)}
        yield from self.sampler.walk(model, inverted(self.unguided, model, images, told), noise, condition)
