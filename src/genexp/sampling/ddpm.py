"""Ancestral sampling."""

import math
from typing import Any

from torch import Tensor

from genexp.diffusion.variance import LEARNED, LearnedVariance
from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level, posterior_variance, step_variance
from genexp.sampling.times import Spacing
from genexp.tensors import IndexedNoise

VARIANCES = {"fixed_small": posterior_variance, "fixed_large": step_variance}


class DDPM(DiffusionSampler[None]):
    """The mean of x_s given x_t and the denoised image, plus noise; no noise in the last step.

    mean = (alpha_t / alpha_s) (sigma_s / sigma_t)^2 x_t + alpha_s (v / sigma_t^2) x_0, with v the variance of x_t given
    x_s. All of it is computed between the times actually visited, so a shorter grid has its own variances.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equations 6 and 7; Nichol and Dhariwal,
    "Improved Denoising Diffusion Probabilistic Models" (2021), equation 15 and section 4, for learned variances.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        variance: `fixed_small`, the variance of x_s given x_t and the image, right for a single image;
            `fixed_large`, the variance of x_t given x_s, right for white noise; or `learned_range`, between the two as
            the model learned it, for the steps that are taken.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `variance` or `spacing` is unknown.
    """

    def __init__(
        self,
        steps: int | None = None,
        variance: str = "fixed_small",
        spacing: Spacing = "trailing",
        **settings: Any,
    ) -> None:
        super().__init__(steps, spacing, **settings)
        if variance not in (*VARIANCES, LEARNED):
            raise ValueError(f"variance must be one of {', '.join((*VARIANCES, LEARNED))}, got {variance!r}")
        self.variance = variance

    @property
    def deterministic(self) -> bool:
        """Never."""
        return False

    def require(self, model: object) -> None:
        """Check as every diffusion sampler does, and that a learned variance was learned.

        Raises:
            TypeError: `model` is no denoiser.
            ValueError: its schedule does not fit, the guidance does not, or it learned no variance.
        """
        super().require(model)
        learned = isinstance(model, LearnedVariance) and model.variance == LEARNED
        if self.variance == LEARNED and not learned:
            raise ValueError(
                f"variance must be one of {', '.join(VARIANCES)} for a model that learned none, got {LEARNED}"
            )

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: None = None
    ) -> Step[None]:
        """One draw of x_s given x_t."""
        x_0, share = denoise.moments(x_t, t) if self.variance == LEARNED else (denoise(x_t, t), None)
        keep = (t.alpha / s.alpha) * (s.sigma / t.sigma) ** 2
        mean = keep * x_t + s.alpha * step_variance(t, s) / t.sigma**2 * x_0
        if s.sigma == 0:
            return Step(mean, x_0)
        return Step(mean + self._spread(t, s, share) * noise.normal(*x_t.shape[1:]), x_0)

    def _spread(self, t: Level, s: Level, share: Tensor | None) -> Tensor | float:
        if share is None:
            return VARIANCES[self.variance](t, s) ** 0.5
        small, large = (math.log(each(t, s)) for each in VARIANCES.values())
        return ((small + share * (large - small)) / 2).exp()
