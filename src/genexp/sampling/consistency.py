"""Drawing from consistency models: in one step, or in several with fresh noise between them."""

from torch import Tensor

from genexp.contracts import Schedule
from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.denoising import Denoise
from genexp.sampling.levels import Level
from genexp.tensors import IndexedNoise


class ConsistencySampler(DiffusionSampler[None]):
    """The image that a noisy one stands for; as long as there are steps, with noise of the next time added to it.

    x_s = alpha_s x_0 + sqrt(sigma_s^2 - (alpha_s e)^2) z, where e is the noise level sigma / alpha of the schedule's
    first time, whose noise counts as part of the image; on integer times, where only consistency from time 0 on is
    taught, e is 0. The last step is x_0 itself.

    Reference: Song et al., "Consistency Models" (2023), algorithm 1; Luo et al., "Latent Consistency Models" (2023),
    algorithm 3.
    """

    invertible = False

    @property
    def deterministic(self) -> bool:
        """Whether it is a single step, which adds no noise."""
        return self.steps == 1

    def levels(self, schedule: Schedule) -> list[Level]:
        """The grid down to clean data, also where `spacing` ends before them: a model's answer has no noise left."""
        *levels, end = super().levels(schedule)
        return [*levels, end if end.sigma == 0 else Level(0, 1.0, 0.0)]

    def step(
        self, denoise: Denoise, x_t: Tensor, t: Level, s: Level, noise: IndexedNoise, state: None = None
    ) -> Step[None]:
        """x_s from what x_t stands for."""
        x_0 = denoise(x_t, t)
        if s.sigma == 0:
            return Step(x_0, x_0)
        schedule = denoise.model.schedule
        first = denoise.level(0 if schedule.discrete else schedule.first)
        added = max(s.sigma**2 - (s.alpha * first.sigma / first.alpha) ** 2, 0.0) ** 0.5
        return Step(s.alpha * x_0 + added * noise.normal(*x_t.shape[1:]), x_0)
