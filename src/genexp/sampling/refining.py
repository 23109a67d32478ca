"""An ensemble of denoisers by noise level: one is asked while there is much noise, another when little is left."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Denoiser, Schedule
from genexp.sampling.alike import require_alike
from genexp.sampling.guidance import Guidance, Guided, Unguided
from genexp.tensors import expand_to


@dataclass(frozen=True)
class Refined:
    """A denoiser at the times above `switch_at` of its schedule, and a refiner at that and below.

    At 0 it is the denoiser itself, at 1 the refiner, exactly; of a time one of the two is evaluated. Both are guided
    alike and told the same.

    References: Podell et al., "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis" (2023),
    section 2.5; Balaji et al., "eDiff-I: Text-to-Image Diffusion Models with an Ensemble of Expert Denoisers" (2022).

    Args:
        refiner: The denoiser for little noise.
        switch_at: Share of the schedule's times, from clean images on, at which it takes over, in [0, 1].
        inside: What guides both.

    Raises:
        ValueError: `switch_at` lies outside [0, 1].
    """

    refiner: Denoiser
    switch_at: float = 0.2
    inside: Guidance = Unguided()

    def __post_init__(self) -> None:
        if not 0 <= self.switch_at <= 1:
            raise ValueError(f"switch_at must lie in [0, 1], got {self.switch_at}")

    @property
    def others(self) -> tuple[Denoiser]:
        """The refiner."""
        return (self.refiner,)

    def __call__(self, model: Denoiser) -> Denoiser:
        """The ensemble.

        Raises:
            ValueError: shape, conditions, codec or noise levels of the refiner are others.
        """
        require_alike(self.refiner, model, "refiner")
        return _Refined(self.inside(model), self.inside(self.refiner), self.switch_at)


class _Refined(Guided):
    def __init__(self, model: Denoiser, refiner: Denoiser, switch_at: float) -> None:
        super().__init__(model)
        self.refiner, self.latest = refiner, _latest(switch_at, model.schedule)

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Clean images (B, *image_shape) from noisy ones, times (B,) and a condition."""
        late = t <= self.latest
        if not bool(late.any()):
            return self.model(x_t, t, condition)
        refined = self.refiner(x_t, t, condition)
        return (
            refined if bool(late.all()) else torch.where(expand_to(late, x_t), refined, self.model(x_t, t, condition))
        )


def _latest(share: float, schedule: Schedule) -> float:
    """The noisiest time at which training at a share of the schedule's times has been, see `Below`."""
    if share in (0, 1):
        return math.inf if share else -math.inf
    if schedule.discrete:
        return share * schedule.last
    return float(schedule.times(torch.tensor([share], dtype=torch.float64)))
