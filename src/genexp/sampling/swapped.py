"""Attention swap: what a caption shows, laid out as another caption lays it out at the same noise."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.conditioning.tokenised import Tokenised
from genexp.contracts import Denoiser
from genexp.contracts.preparing import Reads
from genexp.networks.cross_attention import lending_maps, swaps_maps
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.between import asked_beside
from genexp.sampling.conditions import typed_for
from genexp.sampling.inversion import require_invertible
from genexp.sampling.walking import Snapshot, Walking
from genexp.tensors import BatchNoise, IndexedNoise


@dataclass(frozen=True)
class Swapped:
    """Draw under another caption beside, at the same noise, and attend to the words where that one attends to its own.

    In the first steps every cross-attention takes its map, which pixel looks at which word, from the picture of
    `source`, and what the words say from the caption itself. Word i of one stands for word i of the other, so both have
    as many. At share 0, and where both captions are the same, pictures are those of the caption alone.

    Reference: Hertz et al., "Prompt-to-Prompt Image Editing with Cross Attention Control" (2023), section 3, word swap.

    Args:
        source: Conditions of the picture whose maps are used, as a person types them, by name, such as a caption; of
            several sample i has number i, and the first again after the last.
        share: Of the steps, from the noisiest on, that use them, in [0, 1].

    Raises:
        ValueError: `share` lies outside [0, 1], or `source` is empty.
    """

    source: Mapping[str, object]
    share: float = 0.5
    edits = DiffusionSampler
    wants_mask = False
    wants_images = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], got {self.share}")
        if not self.source:
            raise ValueError('source must say what lays the picture out, source.caption="a red circle", got nothing')

    def __call__(self, sampler: DiffusionSampler, originals: object = None) -> "_Swapped":
        """The sampler that does so.

        Raises:
            ValueError: it adds fresh noise.
        """
        require_invertible(sampler)
        return _Swapped(sampler, dict(self.source), self.share)


@runtime_checkable
class _Holds(Protocol):
    """What stands for the denoiser of another run."""

    inner: Denoiser


class _Swapped(Walking):
    def __init__(self, sampler: DiffusionSampler, source: dict[str, object], share: float) -> None:
        self.sampler, self.source, self.share = sampler, source, share

    def require(self, model: object) -> None:
        """Check that the sampler draws from the model, and that this attends to what `source` says in maps.

        Raises:
            TypeError: it is no denoiser.
            ValueError: the sampler does not fit it, or it has no such maps or no such condition.
        """
        self.sampler.require(model)
        names = model.attends if isinstance(model, Reads) and swaps_maps(model.network) else ()
        others = [name for name in self.source if name not in names]
        if others:
            raise ValueError(
                f"source must be of what the model attends to by cross-attention, {', '.join(names) or 'nothing'}, "
                f"got {others[0]}"
            )
        self._read(model)

    def start(self, model: Denoiser, noise: IndexedNoise) -> Tensor:
        """As the sampler begins."""
        self.require(model)
        return self.sampler.start(model, noise)

    def conditioning_of(self, model: Denoiser) -> Conditioning:
        """What is told when a model is drawn from."""
        return self.sampler.conditioning_of(model)

    def steps_of(self, model: Denoiser) -> int:
        """As many as the sampler has."""
        return self.sampler.steps_of(model)

    def evaluations_of(self, model: Denoiser) -> int:
        """Two pictures' where maps are swapped."""
        return self.sampler.evaluations(model.schedule) * (2 if self._swapping(model) else 1)

    def walk(
        self, model: Denoiser, start: Tensor, noise: IndexedNoise, condition: Condition = UNCONDITIONAL
    ) -> Iterator[Snapshot]:
        """The moments of the pictures; beside each, in the row before, stands that of `source`."""
        swapping, sampler = self._swapping(model), self.sampler
        if swapping == 0:
            yield from sampler.walk(model, start, noise, condition)
            return
        told = self._paired(model, condition, noise)
        levels, state = sampler.levels(model.schedule), None
        denoise = sampler.denoise(model, told)
        every = [each.inner if isinstance(each, _Holds) else each for each in (model, *asked_beside(sampler))]
        asked = [each.network for each in every if isinstance(each, Reads)]
        x_t = start.repeat_interleave(2, 0) * (levels[0].alpha ** 2 + levels[0].sigma ** 2) ** 0.5
        for done, (t, s) in enumerate(pairwise(levels)):
            with lending_maps(asked) if done < swapping else nullcontext():
                x_s, x_0, state = sampler.step(denoise, x_t, t, s, BatchNoise(x_t), state)
            yield Snapshot(t.time, x_t[1::2], x_0[1::2])
            x_t = x_s
        yield Snapshot(levels[-1].time, x_t[1::2], x_t[1::2])

    def _swapping(self, model: Denoiser) -> int:
        return round(self.share * self.sampler.steps_of(model))

    def _read(self, model: Denoiser) -> Condition:
        try:
            return model.conditioning.read(self.source)
        except ValueError as error:
            raise ValueError(f"source must say what the model is told: {error}") from error

    def _paired(self, model: Denoiser, condition: Condition, noise: IndexedNoise) -> Condition:
        """Every sample's condition after that of `source`, which says what it says and of the rest the same."""
        paired, source = {}, typed_for(model.conditioning, self.source, noise)
        for name, rows in condition.items():
            beside = source.get(name, rows)
            if name in source:
                kind = model.conditioning.kinds[name]
                ours, theirs = (_lengths(kind, each) for each in (rows, beside))
                if not torch.equal(ours, theirs):
                    one, other = next((int(a), int(b)) for a, b in zip(ours, theirs, strict=True) if a != b)
                    parts = "tokens" if isinstance(kind, Tokenised) else "words"
                    raise ValueError(f"edit.source.{name} must have as many {parts} as {name}, {one}, got {other}")
            paired[name] = torch.stack([beside, rows], 1).flatten(0, 1)
        return paired


def _lengths(kind: object, rows: Tensor) -> Tensor:
    """Words or tokens (B,) of texts (B, L), without what they are filled up with."""
    return (kind.counted(rows) if isinstance(kind, Tokenised) else rows != 0).sum(1)
