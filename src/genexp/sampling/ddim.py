"""Implicit sampling: few steps, without noise or with a little."""

from collections.abc import Sequence

from torch import Tensor

from genexp.sampling.base import Denoise, DiffusionSampler, Level, Step, posterior_variance
from genexp.sampling.guidance import Guidance, Unguided
from genexp.tensors import IndexedNoise


class DDIM(DiffusionSampler[None]):
    """Keep the noise direction of x_t, at the noise level of s: x_s = alpha_s x_0 + sqrt(sigma_s^2 - r^2) eps + r z.

    eps = (x_t - alpha_t x_0) / sigma_t is taken from the clipped image, and r = eta times the deviation of x_s given
    x_t and x_0. With `eta` 0 the images are a deterministic function of the starting noise.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), equations 12 and 16.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        eta: Share of fresh noise in [0, 1]; 1 has the variances of ancestral sampling.
        spacing: Which times, see `time_grid`.
        clip: Clip the denoised image to [-1, 1].
        guidance: What is made of the denoiser before it is called.

    Raises:
        ValueError: `eta` lies outside [0, 1] or `spacing` is unknown.
    """

    def __init__(
        self,
        steps: int | None = 50,
        eta: float = 0.0,
        spacing: str | Sequence[float] = "trailing",
        clip: bool = True,
        guidance: Guidance = Unguided(),
    ) -> None:
        super().__init__(steps, spacing, clip, guidance)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], got {eta}")
        self.eta = eta

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: None = None
    ) -> Step[None]:
        """x_s from x_t along the noise that x_t holds."""
        x_0 = denoise(x_t, t)
        epsilon = (x_t - t.alpha * x_0) / t.sigma
        fresh = self.eta**2 * posterior_variance(t, s)
        x_s = s.alpha * x_0 + (s.sigma**2 - fresh) ** 0.5 * epsilon
        return Step(x_s + fresh**0.5 * noise.normal(*x_t.shape[1:]) if fresh > 0 else x_s, x_0)
