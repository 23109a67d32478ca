"""Pseudo numerical methods: the noise averaged over a step, by its history."""

from typing import Any, Literal, NamedTuple

from torch import Tensor

from genexp.contracts import Schedule
from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level, noise_in
from genexp.sampling.quadrature import even_moments, require_near, weights
from genexp.sampling.times import Spacing
from genexp.tensors import IndexedNoise

WARMED = {"improved_euler": 1, "runge_kutta": 3}
"""The steps that have no sufficient history, by what is done in them."""

_MOST = 100
"""Steps up to which it is looked for how many would do."""


class Seen(NamedTuple):
    """The noise that an image was found to hold at a time."""

    time: float
    epsilon: Tensor


class PNDM(DiffusionSampler[tuple[Seen, ...]]):
    """The step of DDIM along the mean noise of the step, which the last four values tell by a cubic in time.

    On equal steps these are the weights of Adams and Bashforth, 55, -59, 37 and -9 over 24; on others those of their
    method for the times that there are. Before there are four, `runge_kutta` evaluates each of the first three steps
    four times, and `improved_euler` (PLMS) the first twice and those after it by two and three values.

    Reference: Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), equations 11 to 13 and
    algorithm 2; the cheaper beginning from Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion
    Models" (2022), in their code.

    Args:
        steps: Number of steps; N take N + 1 evaluations, with `runge_kutta` N + 9. None for every integer time.
        warm_up: `improved_euler` or `runge_kutta`.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `warm_up` or `spacing` is unknown.
    """

    remembers = True

    def __init__(
        self,
        steps: int | None = 25,
        warm_up: Literal["improved_euler", "runge_kutta"] = "improved_euler",
        spacing: Spacing = "leading",
        **settings: Any,
    ) -> None:
        super().__init__(steps, spacing, **settings)
        if warm_up not in WARMED:
            raise ValueError(f"warm_up must be one of {', '.join(WARMED)}, got {warm_up!r}")
        self.warm_up = warm_up

    def evaluations_in(self, steps: int) -> int:
        """One a step and those of the beginning, which a last step is no part of."""
        each = 3 if self.warm_up == "runge_kutta" else 1
        return super().evaluations_in(steps) + each * min(WARMED[self.warm_up], steps - 1)

    def require_grid(self, schedule: Schedule) -> None:
        """Check as every diffusion sampler does, and that no step goes too far along the noise.

        Raises:
            ValueError: the schedule does not have the times, a step goes too far, or there are too few steps for
                `warm_up`; all of it is told, and from how many steps on nothing of it is wrong with `leading`.
        """
        wrong = self._wrong(schedule, self.steps, self.spacing)
        if wrong:
            fewest = (n for n in range(1, _MOST + 1) if not self._wrong(schedule, n, "leading"))
            good = next((f"spacing=leading with steps={n} or more has nothing of it" for n in fewest), None)
            raise ValueError("; ".join([*wrong, good] if good else wrong))

    def _wrong(self, schedule: Schedule, steps: int | None, spacing: Spacing) -> list[str]:
        """What is wrong with so many steps."""
        wrong, warmed = [], WARMED[self.warm_up]
        try:
            levels = PNDM(steps, self.warm_up, spacing).levels(schedule)
            steps = len(levels) - 1
            require_near(levels)
        except ValueError as error:
            wrong.append(str(error).partition("; ")[0])  # what to type is said once, for all
        if steps is not None and steps <= warmed > 1:
            wrong.append(f"steps must be above {warmed} for warm_up={self.warm_up}, got {steps}")
        return wrong

    def step(
        self,
        denoise: Denoise,
        x_t: Tensor,
        t: Level,
        s: Level,
        noise: IndexedNoise,
        state: tuple[Seen, ...] | None = None,
    ) -> Step[tuple[Seen, ...]]:
        """x_s from x_t along the mean noise."""
        x_0 = denoise(x_t, t)
        seen = (*(state or ()), Seen(t.time, noise_in(x_t, x_0, t)))[-4:]
        if len(seen) <= WARMED[self.warm_up] and s.sigma > 0:
            begun = _runge_kutta if self.warm_up == "runge_kutta" else _improved_euler
            mean = begun(denoise, x_t, seen[-1].epsilon, t, s)
        else:
            places = [(each.time - t.time) / (s.time - t.time) for each in seen]
            parts = zip(weights(places, even_moments(len(seen))), seen, strict=True)
            mean = sum(weight * each.epsilon for weight, each in parts)
        return Step(_moved(x_t, mean, t, s), x_0, seen)


def _moved(x_t: Tensor, epsilon: Tensor, t: Level, s: Level) -> Tensor:
    """x_s where the noise in x_t is `epsilon`."""
    return s.alpha / t.alpha * x_t + (s.sigma - s.alpha * t.sigma / t.alpha) * epsilon


def _noise(denoise: Denoise, x_t: Tensor, t: Level) -> Tensor:
    return noise_in(x_t, denoise(x_t, t), t)


def _improved_euler(denoise: Denoise, x_t: Tensor, epsilon: Tensor, t: Level, s: Level) -> Tensor:
    return (epsilon + _noise(denoise, _moved(x_t, epsilon, t, s), s)) / 2


def _runge_kutta(denoise: Denoise, x_t: Tensor, epsilon: Tensor, t: Level, s: Level) -> Tensor:
    middle = denoise.level((t.time + s.time) / 2)
    second = _noise(denoise, _moved(x_t, epsilon, t, middle), middle)
    third = _noise(denoise, _moved(x_t, second, t, middle), middle)
    fourth = _noise(denoise, _moved(x_t, third, t, s), s)
    return (epsilon + 2 * second + 2 * third + fourth) / 6
