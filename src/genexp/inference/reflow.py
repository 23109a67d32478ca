"""Pairs of noise and the image that a finished run makes of it, drawn once: what straightens its paths."""

import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.conditioning.kinds import Classes
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.pairs import Pairs
from genexp.evaluation.cache import TensorCache
from genexp.evaluation.protocol import describe
from genexp.inference.trained import TrainedTeacher
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.draw import draw
from genexp.tensors import IndexedNoise
from genexp.terminal import counted, duration


class Reflow(Pairs):
    """Every noise with the image that the flow of a finished run takes it to; both keep their distributions.

    Lines between them cross less than those between noise and image that know nothing of each other, so that a flow
    which is learned of these pairs has straighter paths, down to one step. Pair i has noise of (seed, i) alone; of a
    run that is told classes it has class i, all in turn. Pairs are drawn when the first batch wants them, and kept in
    `cache` under the digest of the run and all that says how; the last tenth is for validation.

    Reference: Liu et al., "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow" (2023),
    algorithm 1, `Reflow`.

    Args:
        flow: The run that draws.
        sampler: How it draws, without fresh noise.
        pairs: How many, at least 10.
        seed: Of the noise.
        batch_size: Pairs drawn at a time.
        cache: Folder where they are kept; None to draw them anew in every training.

    Raises:
        ValueError: an argument is out of range, or the sampler adds noise or does not fit the run, or that is told
            something else than classes.
    """

    def __init__(
        self,
        flow: TrainedTeacher,
        sampler: DiffusionSampler,
        pairs: int = 20_000,
        seed: int = 0,
        batch_size: int = 1000,
        cache: str | None = None,
    ) -> None:
        for name, value, least in (("pairs", pairs, 10), ("batch_size", batch_size, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.flow, self.sampler, self.pairs, self.seed = flow, sampler, pairs, seed
        self.batch_size, self.cache, self.codec = batch_size, cache, flow.codec
        if not sampler.deterministic:
            raise ValueError(f"sampler must add no fresh noise to make pairs, got {type(sampler).__name__} with some")
        sampler.require(flow.inner)
        if sampler.clip and self.codec is not None:
            raise ValueError("sampler must not clip codes, which may lie anywhere, got clip true")
        others = [name for name, kind in flow.conditioning.kinds.items() if not isinstance(kind, Classes)]
        if others:
            raise ValueError(f"flow must be of a run that is told nothing or classes, got one that is told {others[0]}")
        self._drawn: dict[str, Tensor] | None = None

    def require(self, denoiser: NetworkDenoiser) -> None:
        """Check that the run has the shape and the conditions of the student.

        Raises:
            ValueError: they are others.
        """
        ours, theirs = (f"{tuple(each.image_shape)} and {each.conditioning}" for each in (denoiser, self.flow))
        if ours != theirs:
            raise ValueError(f"pairs must be of a run with shape and conditions of the model, {ours}, got {theirs}")

    def __call__(self, place: Tensor, held_out: bool, device: torch.device) -> tuple[Tensor, Tensor, Condition]:
        """Images, noise and conditions of the pairs at `place`, from the last tenth where they are held out."""
        if self._drawn is None:
            self._drawn = self._kept(device)
        learned = self.pairs - self.pairs // 10
        begin, count = (learned, self.pairs - learned) if held_out else (0, learned)
        row = begin + (place.double().cpu() * count).long().clamp(max=count - 1)
        found = {name: each[row].to(device) for name, each in self._drawn.items()}
        noise = IndexedNoise(self.seed, row.tolist(), device).normal(*self.flow.image_shape)
        return found.pop("image"), noise, found

    def _kept(self, device: torch.device) -> dict[str, Tensor]:
        cache = None if self.cache is None else TensorCache(self.cache)
        key = {
            "of": "pairs of noise and image",
            "run": f"{self.flow.digest} {self.flow.weights}",
            "sampler": describe(self.sampler),
            "pairs": self.pairs,
            "seed": self.seed,
        }
        found = None if cache is None else cache.load(key)
        if found is not None:
            print(f"pairs       {counted(self.pairs, 'pair')} of {self.flow.run}, drawn before", file=sys.stderr)
            return found
        steps = counted(self.sampler.evaluations(self.flow.schedule), "network evaluation")
        print(f"pairs       {counted(self.pairs, 'pair')} to draw, {steps} each", file=sys.stderr)
        begun, pieces = time.monotonic(), []
        with torch.autocast(device.type, enabled=False):
            for begin in range(0, self.pairs, self.batch_size):
                pieces.append(self._of(range(begin, min(begin + self.batch_size, self.pairs)), device))
        drawn = {name: torch.cat([each[name] for each in pieces]) for name in pieces[0]}
        print(f"pairs       drawn in {duration(time.monotonic() - begun)}", file=sys.stderr)
        if cache is not None:
            cache.store(key, drawn)
        return drawn

    def _of(self, rows: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        model = self.flow.on(device)
        turns = None if self.flow.conditioning.num_classes is None else _InTurn(self.flow.conditioning.num_classes)
        drawn = draw(model, self.sampler, rows, self.seed, turns, device)
        return {name: value.cpu() for name, value in drawn.items() if name != "index"}


class _InTurn:
    """All classes one after the other."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def of(self, indices: Sequence[int]) -> Condition:
        return {"label": torch.tensor(list(indices), dtype=torch.int64) % self.num_classes}
