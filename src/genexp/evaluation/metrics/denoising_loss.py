"""What a denoiser errs at every noise level: the loss that it is trained by, and the error of the clean image."""

from collections.abc import Iterable
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts import Batch, Schedule
from genexp.contracts.codecs import codec_of
from genexp.evaluation.metrics.base import Better, Curve, Value
from genexp.evaluation.over_model import OfModel, mean_over_images, over_images, require_split
from genexp.evaluation.protocol import describe
from genexp.tensors import IndexedNoise, expand_to


@runtime_checkable
class DenoiserWithLoss(Protocol):
    """A denoiser that knows the loss that it is trained by, and the parts which that is made of."""

    conditioning: Conditioning
    schedule: Schedule
    weighting: object
    objective: object

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor: ...

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Losses (B,) of clean images, or codes, at times (B,)."""
        ...


class DenoisingLoss(OfModel):
    """`denoising_loss`, the loss as it is trained, and `image_error`, mean |E[x | x_t] - x|^2 over the pixels.

    Both are means over `points` noise levels, and carry the curve over them. Losses of different objectives, weightings
    and schedules have different protocols; the error of the image is of the same kind for whatever a network predicts.
    Levels are the middles of as many equal parts of the training times, so that the mean is the loss at uniform times,
    or lie evenly in log-SNR between the first and the last of these. Of latent diffusions it is the error of codes.

    Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), figure 2, for looking at
    terms by their times; Kingma and Gao, "Understanding Diffusion Objectives" (2023), for log-SNR as the common axis.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        points: Noise levels, at least 2.
        along: What they are evenly spread in, `time` or `log_snr`.

    Raises:
        ValueError: an argument is out of range.
    """

    measured = DenoiserWithLoss
    values: ClassVar[dict[str, Better]] = {"denoising_loss": "lower", "image_error": "lower"}

    def __init__(self, split: str = "val", points: int = 20, along: Literal["time", "log_snr"] = "time") -> None:
        if points < 2:
            raise ValueError(f"points must be at least 2 noise levels, got {points}")
        if along not in ("time", "log_snr"):
            raise ValueError(f"along must be time or log_snr, got {along!r}")
        self.split, self.points, self.along = require_split(split), points, along

    def subject(self, model: DenoiserWithLoss) -> str:
        """What the loss is made of."""
        parts = (model.objective, model.weighting, model.schedule)
        return ", ".join([*map(describe, parts), *([] if codec_of(model) is None else ["codes"])])

    def times(self, schedule: Schedule) -> Tensor:
        """The times (P,) of the levels, rising; of a schedule of fewer whole times each once."""
        t = schedule.times((torch.arange(self.points, dtype=torch.float64) + 0.5) / self.points)
        if self.along == "log_snr":
            least, most = (float(schedule.log_snr(each)) for each in (t[-1:], t[:1]))
            t = schedule.at_snr(torch.linspace(most, least, self.points, dtype=torch.float64))
            t = t.round().long() if schedule.discrete else t
        return t.unique()

    @torch.no_grad()
    def compute(self, model: DenoiserWithLoss, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values with their curves, and the interval of other images."""
        times = self.times(model.schedule)
        errors, group, _ = over_images(batches, seed, lambda batch, noise: _errors(model, batch, noise, times))
        spread = errors.std(0) / len(errors) ** 0.5
        places = {"time": times.tolist(), "log_snr": model.schedule.log_snr(times).tolist()}
        found = {}
        for i, name in enumerate(self.values):
            columns = {**places, name: errors[..., i].mean(0).tolist(), "standard_error": spread[..., i].tolist()}
            found[name] = mean_over_images(errors[..., i].mean(1), group, curve=Curve("log_snr", name, columns))
        return found


def _errors(model: DenoiserWithLoss, batch: Batch, noise: IndexedNoise, times: Tensor) -> Tensor:
    """Loss and error of the clean image (B, P, 2) at every time, each with noise of its own."""
    x, told, codec = batch["image"].float(), model.conditioning.told(batch), codec_of(model)
    x = x if codec is None else codec.encode(x)
    found = []
    for time in times:
        t = time.to(x.device, None if model.schedule.discrete else x.dtype).expand(len(x))
        fresh = noise.normal(*x.shape[1:])
        alpha, sigma = (expand_to(level, x) for level in model.schedule(t, x.dtype))
        error = (model(alpha * x + sigma * fresh, t, told) - x).square().flatten(1).mean(1)
        found.append(torch.stack([model.loss(x, t, fresh, told), error], 1))
    return torch.stack(found, 1).double()
