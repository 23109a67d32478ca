"""Implicit sampling: few steps, without noise or with a little."""

from typing import Any, Literal

from torch import Tensor

from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level, noise_in, posterior_variance, step_variance
from genexp.sampling.times import Spacing
from genexp.tensors import IndexedNoise


class DDIM(DiffusionSampler[None]):
    """Keep the noise direction of x_t, at the noise level of s: x_s = alpha_s x_0 + sqrt(sigma_s^2 - r^2) eps + r z.

    eps = (x_t - alpha_t x_0) / sigma_t is taken from the clipped image, and r = eta times the deviation of x_s given
    x_t and x_0. With `eta` 0 the images are a deterministic function of the starting noise, and the step is Euler's:
    along the noise level, along the flow and, in log(alpha / sigma), as DPM-Solver-1.

    The variance `sigma_hat` adds z by the larger deviation of x_t given x_s instead of r, as ancestral sampling with
    `fixed_large` does, and none in the last step.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), equations 12 and 16; the larger variance in
    section 5 and appendix D.3.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        eta: Share of fresh noise in [0, 1]; 1 has the variances of ancestral sampling.
        variance: `posterior`, or `sigma_hat`, which goes with `eta` 1.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `eta` lies outside [0, 1] or does not go with `variance`, or `variance` or `spacing` is unknown.
    """

    variance: Literal["posterior", "sigma_hat"] = "posterior"
    """Told in protocols where it is another, so that those from before it could be are still those of today."""

    def __init__(
        self,
        steps: int | None = 50,
        eta: float = 0.0,
        spacing: Spacing = "trailing",
        variance: Literal["posterior", "sigma_hat"] = "posterior",
        **settings: Any,
    ) -> None:
        super().__init__(steps, spacing, **settings)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], got {eta}")
        if variance not in ("posterior", "sigma_hat"):
            raise ValueError(f"variance must be posterior or sigma_hat, got {variance!r}")
        if variance == "sigma_hat" and eta != 1:
            raise ValueError(f"eta must be 1 for the variance sigma_hat, got {eta:g}")
        self.eta = eta
        if variance != self.variance:
            self.variance = variance

    @property
    def deterministic(self) -> bool:
        """Without fresh noise."""
        return self.eta == 0

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: None = None
    ) -> Step[None]:
        """x_s from x_t along the noise that x_t holds."""
        x_0 = denoise(x_t, t)
        epsilon = noise_in(x_t, x_0, t)
        fresh = self.eta**2 * posterior_variance(t, s) if self.eta else 0.0  # without, s may be one of no signal
        x_s = s.alpha * x_0 + (s.sigma**2 - fresh) ** 0.5 * epsilon
        added = step_variance(t, s) if self.variance == "sigma_hat" and s.sigma > 0 else fresh
        return Step(x_s + added**0.5 * noise.normal(*x_t.shape[1:]) if added > 0 else x_s, x_0)
