"""A finished run as a part of another: its denoiser, which guides."""

import hashlib
from dataclasses import dataclass

from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Denoiser
from genexp.inference.run import load_run


@dataclass(eq=False)
class TrainedDenoiser:
    """The denoiser of a finished run. It follows the images that it is given to their device.

    Args:
        run: The run folder, or any file in it; afterwards the run's id, as a protocol tells it beside `digest`.
        weights: `averaged` or `raw`.
        checkpoint: `best`, `last`, or a file; by default `best` where the run kept one.

    Raises:
        FileNotFoundError: there is no run, or it has no such checkpoint.
        ValueError: it is a run of a model that is no denoiser.
    """

    run: str
    weights: str = "averaged"
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        opened = load_run(self.run, self.weights, self.checkpoint)
        self._family = opened.model
        self._model = self._family.source()
        if not isinstance(self._model, Denoiser):
            raise ValueError(f"run must be of a diffusion model, got {self.run} of {type(self._family).__name__}")
        self.image_shape, self.conditioning = self._model.image_shape, self._model.conditioning
        self.schedule = self._model.schedule
        self.run, self.checkpoint = opened.folder.record["id"], opened.checkpoint.name
        self.digest = hashlib.sha256(opened.checkpoint.read_bytes()).hexdigest()[:12]

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Clean images (B, *image_shape) from noisy ones, times (B,) and a condition."""
        if self._family.device != x_t.device:
            self._family.to(x_t.device)
        return self._model(x_t, t, condition)
