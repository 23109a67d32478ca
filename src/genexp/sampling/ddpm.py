"""Ancestral sampling."""

from torch import Tensor

from genexp.sampling.base import Denoise, DiffusionSampler, Level, Step, posterior_variance, step_variance
from genexp.sampling.guidance import Guidance, Unguided
from genexp.sampling.times import Spacing
from genexp.tensors import IndexedNoise

VARIANCES = {"fixed_small": posterior_variance, "fixed_large": step_variance}


class DDPM(DiffusionSampler[None]):
    """The mean of x_s given x_t and the denoised image, plus noise of a fixed variance; no noise in the last step.

    mean = (alpha_t / alpha_s) (sigma_s / sigma_t)^2 x_t + alpha_s (v / sigma_t^2) x_0, with v the variance of x_t
    given x_s. All of it is computed between the times actually visited, so a shorter grid has its own variances.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equations 6 and 7.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        variance: `fixed_small`, the variance of x_s given x_t and the image, right for a single image; or
            `fixed_large`, the variance of x_t given x_s, right for white noise.
        spacing: Which times, see `time_grid`.
        clip: Clip the denoised image to [-1, 1] before the mean is taken.
        guidance: What is made of the denoiser before it is called.

    Raises:
        ValueError: `variance` or `spacing` is unknown.
    """

    def __init__(
        self,
        steps: int | None = None,
        variance: str = "fixed_small",
        spacing: Spacing = "trailing",
        clip: bool = True,
        guidance: Guidance = Unguided(),
    ) -> None:
        super().__init__(steps, spacing, clip, guidance)
        if variance not in VARIANCES:
            raise ValueError(f"variance must be one of {', '.join(VARIANCES)}, got {variance!r}")
        self.variance = variance

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: None = None
    ) -> Step[None]:
        """One draw of x_s given x_t."""
        x_0 = denoise(x_t, t)
        keep = (t.alpha / s.alpha) * (s.sigma / t.sigma) ** 2
        mean = keep * x_t + s.alpha * step_variance(t, s) / t.sigma**2 * x_0
        if s.sigma == 0:
            return Step(mean, x_0)
        return Step(mean + VARIANCES[self.variance](t, s) ** 0.5 * noise.normal(*x_t.shape[1:]), x_0)
