"""UniPC: the image where a step ends is set right by what the denoiser says there, at no further cost."""

import math
from typing import Any

from torch import Tensor

from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.dpm_solver import require_order
from genexp.sampling.levels import Level
from genexp.sampling.quadrature import Memory, integrated, look
from genexp.tensors import IndexedNoise


class UniPC(DiffusionSampler[Memory]):
    """Predict by the polynomial through the last `order` clean images, correct by that through one more, of the end.

    The correction of a step takes the value that the next step evaluates anyway; the last image, for which there is
    none, is as predicted. With `order` 2 and without the corrector this is DPM-Solver++(2M), with 3 its third order.
    Steps to clean data and from pure noise are of first order, and the first few have what there is to remember.

    Reference: Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models"
    (2023), algorithms 1 and 2 with data prediction and B_2(h) = e^h - 1, which enters at two values alone.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        order: How many values predict, 1 to 3; the corrector adds one order.
        corrector: Correct.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `order` is none of 1, 2 and 3, or `spacing` is unknown.
    """

    remembers = True

    def __init__(
        self,
        steps: int | None = 10,
        order: int = 2,
        corrector: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(steps, **settings)
        require_order(order)
        self.order, self.corrector = order, corrector

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: Memory | None = None
    ) -> Step[Memory]:
        """x_s from x_t, corrected, and from what the steps before saw."""
        now = look(denoise, x_t, t)
        seen = () if state is None else state.known
        if self.corrector and seen and math.isfinite(seen[-1].level.log_snr):
            x_t = integrated(state.x, seen[-1].level, t, (*seen, now))
        known = (*seen, now)[-self.order :]
        return Step(integrated(x_t, t, s, known), now.x_0, Memory(x_t, known))
