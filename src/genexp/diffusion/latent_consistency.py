"""Consistency of guided paths: a student for one to four steps of any diffusion run, of images or of codes."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.contracts import Denoiser, Schedule
from genexp.diffusion.consistency import of_same_dropout, require_boundary
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.goal import Goal, Teacher, implicit, levels, require_trainable, require_unclipped, take_over
from genexp.diffusion.prediction import require_positive
from genexp.parameters import Towards, tensors_of
from genexp.tensors import expand_to, in_double


class LatentConsistency(nn.Module, Goal):
    """What an average of the student says one step of its guided teacher further down the path; at time 0 the image.

    A path is covered in `steps` steps of equal parts of the training times, which begin anywhere: f(x_t, t) is to be
    f(x_s, s), where x_s is a step of DDIM without noise from x_t by the teacher under its guidance, of a strength that
    is fixed here. The paper tells its student the strength, drawn anew for every image. Without guidance this is
    consistency distillation on any schedule. At s = 0 the goal is x_s itself, and `Bounded` makes f(x, 0) = x.

    The student begins with its teacher's weights, is drawn by `ConsistencySampler` and needs no guidance.

    Reference: Luo et al., "Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference"
    (2023), algorithm 1 and equations 13 to 17.

    Args:
        teacher: Denoiser with the network, the conditions, the codec and the noise levels of the student.
        steps: Steps that a whole path takes, at least 2; the paper skips 20 of 1,000 times, which is 50.
        guidance: What is made of the teacher; None for the teacher itself.
        clip: Clip what the guided teacher says to [-1, 1], as a sampler does; not for points or codes.
        half_life: Images after which a weight's influence on the average has halved; None for the student as it is.

    Raises:
        ValueError: an argument lies outside its range.
    """

    def __init__(
        self,
        teacher: Teacher,
        steps: int = 50,
        guidance: Callable[[Denoiser], Denoiser] | None = None,
        clip: bool = False,
        half_life: float | None = 1000.0,
    ) -> None:
        super().__init__()
        if steps < 2:
            raise ValueError(f"steps must be at least 2, got {steps}")
        self.teacher, self.steps, self.guidance, self.clip = teacher, steps, guidance, clip
        self.half_life = None if half_life is None else require_positive("half_life", half_life)
        self.target: nn.Module | None = None

    def begin(self, denoiser: NetworkDenoiser) -> None:
        """Take over the teacher's weights, and begin the average with them.

        Raises:
            ValueError: teacher, guidance and student do not fit, or the student changes an image without noise.
        """
        require_unclipped(self.clip, self.teacher)
        schedule = denoiser.schedule
        if schedule.discrete and self.steps > schedule.last:
            raise ValueError(
                f"goal must have at most as many steps as there are times, {schedule.last}, got {self.steps}"
            )
        require_trainable(denoiser)
        require_boundary(denoiser, 0, "bounded does")
        take_over(self.teacher, denoiser)
        self._guided = self.teacher if self.guidance is None else self.guidance(self.teacher)
        if self.half_life is not None:
            self.target = copy.deepcopy(denoiser.network).requires_grad_(False)

    def times(self, place: Tensor, schedule: Schedule, images: int) -> tuple[Tensor, Tensor]:
        """Times t as any training has them, and those a part of 1 / `steps` of all places before, from 0 on."""
        before = place - 1 / self.steps
        return schedule.times(place), torch.where(before < 0, 0, schedule.times(before.clamp(min=0)))

    def weight(self, t: Tensor, s: Tensor, schedule: Schedule) -> None:
        """None: the weighting says it all."""

    def follow(self, denoiser: NetworkDenoiser, images: int) -> None:
        """Draw the average to the student's weights; buffers are copied."""
        if self.target is None or self.half_life is None:
            return
        Towards(tensors_of(self.target), denoiser.network).draw(1 - 0.5 ** (images / self.half_life))

    @torch.no_grad()
    def forward(
        self, denoiser: NetworkDenoiser, x_t: Tensor, t: Tensor, s: Tensor, x: Tensor, noise: Tensor, told: Condition
    ) -> Tensor:
        """What is said of the teacher's x_s; all but networks in float64."""
        x_0 = in_double(self._guided(x_t, t, told))
        x_0 = x_0.clamp(-1, 1) if self.clip else x_0
        at, to = (levels(denoiser.schedule, each, x_t) for each in (t, s))
        x_s = implicit(in_double(x_t), x_0, at, to).to(x_t.device, x_t.dtype)
        ends = s == 0
        average = denoiser if self.target is None else denoiser.with_network(self.target)
        said = of_same_dropout(average, x_s, torch.where(ends, t, s), told)
        return torch.where(expand_to(ends, x_t), x_s, said)
