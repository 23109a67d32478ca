"""DPM-Solver: few steps, exact in all but the curve of the denoiser's answers."""

import math
from typing import Any, Literal

from torch import Tensor

from genexp.contracts import Schedule
from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level
from genexp.sampling.quadrature import Known, Memory, integrated, look, require_near
from genexp.sampling.times import Spacing
from genexp.tensors import IndexedNoise


class DPMSolver(DiffusionSampler[Memory]):
    """Singlestep solvers of order 1 to 3: blocks of as many steps as the order has, all from where the block began.

    Step j of a block goes from its beginning to the end of the step with the j values seen so far, so that only the
    first needs nothing but the image; after the last the block is forgotten. A step to clean data and one from pure
    noise are blocks of their own, of first order; what is left before the first of these is a block of lower order.
    Every evaluation is at a time of the grid, at a cost of one a step for every order.

    `along` the noise these are DPM-Solver-1, -2 and -3, `along` the image DPM-Solver++(1), (2S) and (3S), in the form
    that holds for any places of the inner times, the third order with both divided differences. Equal thirds and halves
    in log-SNR come with `spacing=log_snr`.

    Reference: Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps"
    (2022), equation 3.4 and appendix B; for images Lu et al., "DPM-Solver++" (2022), algorithm 1.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        order: 1, 2 or 3; 1 is DDIM.
        along: What is a polynomial over a block: the `noise`, or the clean `image`, steadier under guidance and with
            clipping.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `order` is none of 1, 2 and 3, or `along` or `spacing` is unknown.
    """

    remembers = True

    def __init__(
        self,
        steps: int | None = 20,
        order: int = 3,
        along: Literal["noise", "image"] = "noise",
        spacing: Spacing = "log_snr",
        **settings: Any,
    ) -> None:
        super().__init__(steps, spacing, **settings)
        require_order(order)
        if along not in ("noise", "image"):
            raise ValueError(f"along must be noise or image, got {along!r}")
        self.order, self.along = order, along

    def require_grid(self, schedule: Schedule) -> None:
        """Check as every diffusion sampler does, and that no step along the noise goes too far.

        Raises:
            ValueError: the schedule does not have the times, or a step goes too far.
        """
        levels = self.levels(schedule)
        if self.along == "noise" and self.order > 1:
            even = self.spacing == "log_snr"
            remedy = "along=image has none, nor have more steps" if even else "spacing=log_snr or along=image has none"
            require_near(levels[1:] if levels[0].alpha == 0 else levels, remedy)

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: Memory | None = None
    ) -> Step[Memory]:
        """x_s from where the block began, by all that was seen in it."""
        now = look(denoise, x_t, t)
        goes_on = state is not None and len(state.known) < self.order
        if goes_on and math.isfinite(s.log_snr - state.known[0].level.log_snr):
            block = Memory(state.x, (*state.known, now))
        else:
            block = Memory(x_t, (now,))
        x_s = integrated(block.x, block.known[0].level, s, block.known, self.along, even=self.order < 3)
        return Step(x_s, now.x_0, block)


class DPMSolver2M(DiffusionSampler[Known]):
    """The step of DDIM with the clean image extrapolated along a line through the last two; one evaluation a step.

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - alpha_t sigma_s / sigma_t) D with D = x_0 + (h / (2 k)) (x_0 - x_0'), in
    which x_0' belongs to the step before; k and h are the lengths of that step and of this one in log(alpha / sigma).
    The first step and the one to clean data take x_0 alone.

    Reference: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models" (2022),
    algorithm 2.

    Args:
        steps: Number of steps, of one evaluation each; None for every integer time of the schedule.
        settings: Everything else that a `DiffusionSampler` takes.

    Raises:
        ValueError: `spacing` is unknown.
    """

    remembers = True

    def __init__(self, steps: int | None = 15, spacing: Spacing = "trailing", **settings: Any) -> None:
        super().__init__(steps, spacing, **settings)

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: Known | None = None
    ) -> Step[Known]:
        """x_s from x_t and from what the step before saw."""
        now = look(denoise, x_t, t)
        return Step(integrated(x_t, t, s, [now] if state is None else [state, now]), now.x_0, now)


def require_order(order: int) -> None:
    """Refuse an order that no solver here has.

    Raises:
        ValueError: `order` is none of 1, 2 and 3.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order must be 1, 2 or 3, got {order}")
