"""How close the continuations of held-out videos come to how they went on."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch, Denoiser, Sampler
from genexp.evaluation.extractors.motion import centres
from genexp.evaluation.images import quantised
from genexp.evaluation.metrics.base import DISTANCE, Better, Value
from genexp.evaluation.metrics.reconstruction import squared_error
from genexp.evaluation.over_model import OfModel, mean_over_images, over_images, require_split
from genexp.evaluation.protocol import describe
from genexp.tensors import IndexedNoise


class Continuation(OfModel):
    """`continuation_error`, `continuation_psnr` and `continuation_told` of a model that is told the first frames.

    Video i is continued once, by the noise of sample i, rounded to 8 bits, and held against held-out video i. Over the
    frames that were not told: the mean distance in pixels of the centre of light from the true one, and PSNR in
    decibels. Of those that were told, the mean absolute difference, values in [-1, 1]. The distance has as details what
    the last told frame repeated (`still`) and motion on as between the last two told (`onward`) would have; real videos
    have that of `onward` by their pixels alone. Traps: with one told frame nobody can know where to; the mean of all
    continuations wins PSNR.

    Args:
        sampler: What draws the continuations.
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    values: ClassVar[dict[str, Better]] = {
        "continuation_error": "lower",
        "continuation_psnr": "higher",
        "continuation_told": "lower",
    }

    def __init__(self, sampler: Sampler, split: str = "val") -> None:
        self.sampler, self.split, self.drawn_by = sampler, require_split(split), describe(sampler)

    def require(self, model: object) -> None:
        """Check that the model is a denoiser that is told the first frames of videos.

        Raises:
            TypeError: it is not.
        """
        if not isinstance(model, Denoiser) or _told_frames(model) is None:
            raise TypeError(
                f"{type(self).__name__} measures a Denoiser that is told first frames, got {type(model).__name__}"
            )

    def subject(self, model: Denoiser) -> str:
        """Videos as they are drawn, after so many told frames."""
        name = _told_frames(model)
        return f"8-bit videos {list(model.image_shape)} after {model.conditioning.pictures[name].picture[0]} of {name}"

    @torch.no_grad()
    def compute(self, model: Denoiser, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The values, with the interval of other held-out videos."""
        measured, group, _ = over_images(batches, seed, partial(self._measured, model))
        error, still, onward, psnr, told = measured.unbind(1)
        found = mean_over_images(error, group, "pixels", DISTANCE)
        details = {"still": float(still.mean()), "onward": float(onward.mean())}
        return {
            "continuation_error": replace(found, details={n: v for n, v in details.items() if v == v}),
            "continuation_psnr": mean_over_images(psnr, group, "dB"),
            "continuation_told": mean_over_images(told, group, limits=DISTANCE),
        }

    def _measured(self, model: Denoiser, batch: Batch, noise: IndexedNoise) -> Tensor:
        """Distances of the drawn, the still and the onward video, PSNR, and the difference of told frames, (B, 5)."""
        real, condition = batch["image"], model.conditioning.told(batch)
        known = model.conditioning.pictures[_told_frames(model)].picture[0]
        drawn = quantised(self.sampler.run(model, self.sampler.start(model, noise), noise, condition))
        true, ours = centres(real), centres(drawn)
        last = true[:, known - 1 : known]
        still = last.expand_as(true[:, known:])
        ahead = torch.arange(1, true.shape[1] - known + 1, device=true.device)[:, None]
        step = last - true[:, known - 2 : known - 1] if known > 1 else torch.full_like(last, float("nan"))
        ways = (ours[:, known:], still, last + ahead * step)
        off = [torch.linalg.vector_norm(way - true[:, known:], dim=2).mean(1) for way in ways]
        psnr = -10 * (squared_error(drawn[:, known:], real[:, known:]) / 4).log10()
        kept = (drawn[:, :known] - real[:, :known]).double().abs().flatten(1).mean(1)
        return torch.stack([*off, psnr, kept], 1)


def _told_frames(model: Denoiser) -> str | None:
    """The name of the condition that is first frames; None where there is none."""
    return next((name for name, kind in model.conditioning.pictures.items() if len(kind.picture) == 4), None)
