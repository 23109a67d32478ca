"""What a denoiser is taught to say of a noisy image, where that is not the clean image itself."""

from typing import Protocol

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.contracts import Denoiser, Schedule
from genexp.contracts.codecs import Codec
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.objective import Bound, Hybrid
from genexp.diffusion.prediction import Bounded, Consistent, Preconditioned, Prediction
from genexp.diffusion.schedules import same_levels
from genexp.tensors import expand_to, in_double


class Goal(Protocol):
    """Clean images that stand for noisy ones, at times of their own, in pairs t > s."""

    teacher: "Teacher | None"

    def begin(self, denoiser: NetworkDenoiser) -> None:
        """Refuse a denoiser that it cannot teach, with a ValueError, and give it the weights that it starts from."""

    def times(self, place: Tensor, schedule: Schedule, images: int) -> tuple[Tensor, Tensor]:
        """Times t that are trained and s that are looked back from, each (B,), from places (B,) in [0, 1).

        `images` were seen before.
        """
        ...

    def weight(self, t: Tensor, s: Tensor, schedule: Schedule) -> Tensor | None:
        """What losses (B,) are multiplied by; None for nothing."""
        ...

    def __call__(
        self, denoiser: NetworkDenoiser, x_t: Tensor, t: Tensor, s: Tensor, x: Tensor, noise: Tensor, told: Condition
    ) -> Tensor:
        """Clean images (B, *image_shape) that the denoiser should see in x_t = alpha x + sigma noise."""
        ...

    def follow(self, denoiser: NetworkDenoiser, images: int) -> None:
        """Learn from a step that has been taken on so many images; nothing by default."""


class Teacher(Denoiser, Protocol):
    """The denoiser of a finished run, with what a student takes over of it."""

    network: nn.Module
    prediction: Prediction  # what its network says
    codec: Codec | None  # of a denoiser of codes
    distilled_to: int | None  # its own steps, where it is a student itself


class ProgressiveDistillation(Goal):
    """One step of the student goes as far as two of its teacher by DDIM without noise, which halves the steps.

    At times t = i T / N the goal is the image from which a step to s = (i - 1) T / N arrives where the teacher does by
    way of the middle: (z_s - r x_t) / (alpha_s - r alpha_t), with r = sigma_s / sigma_t. The student begins with the
    weights of its teacher. It is drawn by DDIM in N steps, spacing `trailing`; halved again, it is a teacher itself.

    Reference: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022), algorithm 2.

    Args:
        teacher: Denoiser with the network, the conditions and the noise levels of the student.
        steps: The student's steps N.
        clip: Clip what the teacher says to [-1, 1], as its sampler does; not for points.

    Raises:
        ValueError: `steps` is below 1, or not half of those that the teacher itself was distilled to.
    """

    def __init__(self, teacher: Teacher, steps: int, clip: bool = True) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        taken = teacher.distilled_to
        if taken not in (None, 2 * steps):
            raise ValueError(f"steps must be half the {taken} that the teacher was distilled to, got {steps}")
        self.teacher, self.steps, self.clip = teacher, steps, clip

    def begin(self, denoiser: NetworkDenoiser) -> None:
        """Take over the teacher's weights.

        Raises:
            ValueError: teacher and student do not fit, or the schedule has no time in the middle of every step.
        """
        schedule = denoiser.schedule
        require_unclipped(self.clip, self.teacher)
        if schedule.discrete and schedule.last % (2 * self.steps):
            raise ValueError(
                f"goal must have steps that go twice into the {schedule.last} times of the schedule, each with a "
                f"middle, got {self.steps}"
            )
        require_trainable(denoiser)
        take_over(self.teacher, denoiser)

    def times(self, place: Tensor, schedule: Schedule, images: int) -> tuple[Tensor, Tensor]:
        """Ends and beginnings of steps, each as likely as the other."""
        i = (place * self.steps).long().clamp(max=self.steps - 1)
        if schedule.discrete:
            width = int(schedule.last) // self.steps
            return (i + 1) * width, i * width
        width = schedule.last / self.steps
        return ((i + 1) * width).to(place.dtype), (i * width).to(place.dtype)

    def weight(self, t: Tensor, s: Tensor, schedule: Schedule) -> None:
        """None: the weighting says it all."""

    @torch.no_grad()
    def __call__(
        self, denoiser: NetworkDenoiser, x_t: Tensor, t: Tensor, s: Tensor, x: Tensor, noise: Tensor, told: Condition
    ) -> Tensor:
        """Where two steps of the teacher lead, as an image; all but the network in float64."""
        z, (alpha_t, sigma_t) = in_double(x_t), levels(denoiser.schedule, t, x_t)
        middle = (t + s) // 2 if denoiser.schedule.discrete else (t + s) / 2
        alpha_s, sigma_s = levels(denoiser.schedule, s, x_t)
        between = levels(denoiser.schedule, middle, x_t)
        z_m = self._implicit(z, x_t.dtype, t, (alpha_t, sigma_t), between, told)
        z_s = self._implicit(z_m, x_t.dtype, middle, between, (alpha_s, sigma_s), told)
        ratio = sigma_s / sigma_t
        return ((z_s - ratio * z) / (alpha_s - ratio * alpha_t)).to(x_t.device, x_t.dtype)

    def _implicit(
        self,
        z: Tensor,
        dtype: torch.dtype,
        t: Tensor,
        at: tuple[Tensor, Tensor],
        to: tuple[Tensor, Tensor],
        told: Condition,
    ) -> Tensor:
        """A step of DDIM without noise from time `t`, between two levels."""
        x_0 = in_double(self.teacher(z.to(t.device, dtype), t, told))
        return implicit(z, x_0.clamp(-1, 1) if self.clip else x_0, at, to)


def require_unclipped(clip: bool, teacher: Teacher) -> None:
    """Refuse to clip what a teacher of codes says.

    Raises:
        ValueError: it would be clipped.
    """
    if clip and teacher.codec is not None:
        raise ValueError("goal must not clip what is said of codes, which may lie anywhere, got clip true")


def require_trainable(denoiser: NetworkDenoiser) -> None:
    """Refuse objectives that are of the data and not of a goal.

    Raises:
        ValueError: it has one.
    """
    if isinstance(denoiser.objective, Bound | Hybrid):
        kind = type(denoiser.objective).__name__
        raise ValueError(f"objective must be weighted_error or pseudo_huber with a goal, got {kind}")


def take_over(teacher: Teacher, denoiser: NetworkDenoiser) -> None:
    """Give a student the weights of its teacher.

    Raises:
        ValueError: shapes, conditions, noise levels, what is predicted, or networks differ.
    """
    told = (", ".join(each.conditioning.all_names) or "nothing" for each in (denoiser, teacher))
    ours, theirs = (
        f"{tuple(each.image_shape)} and {names}" for each, names in zip((denoiser, teacher), told, strict=True)
    )
    if ours != theirs or teacher.conditioning != denoiser.conditioning:
        raise ValueError(f"goal must have a teacher with shape and conditions of the student, {ours}, got {theirs}")
    if not same_levels(denoiser.schedule, teacher.schedule):
        raise ValueError("goal must have a teacher with the noise levels of the student's schedule, got others")
    _require_same(denoiser.prediction, teacher.prediction)
    try:
        denoiser.network.load_state_dict(teacher.network.state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"goal must have a teacher with the network of the student: {str(error).splitlines()[-1].strip()}"
        ) from error


def _require_same(ours: Prediction, theirs: Prediction) -> None:
    """Check that a student's network means what its teacher's does, but near clean images, where it is bounded.

    Raises:
        ValueError: it predicts something else.
    """
    one, other = (_far_from_clean(each) for each in (ours, theirs))
    if type(one) is not type(other) or vars(one) != vars(other):
        kinds = [type(each).__name__ for each in (theirs, ours.inside if isinstance(ours, Bounded) else ours)]
        raise ValueError(
            f"prediction must be that of the teacher, {kinds[0]}, or one that bounds it, got {kinds[1]}"
            + (" with other arguments" if type(one) is type(other) else "")
        )


def _far_from_clean(prediction: Prediction) -> Prediction:
    if isinstance(prediction, Consistent):
        return Preconditioned(prediction.data_std)
    return prediction.inside if isinstance(prediction, Bounded) else prediction


def implicit(z: Tensor, x_0: Tensor, at: tuple[Tensor, Tensor], to: tuple[Tensor, Tensor]) -> Tensor:
    """A step of DDIM without noise from images z to those at another level (alpha, sigma), given the clean ones."""
    return to[0] * x_0 + to[1] / at[1] * (z - at[0] * x_0)


def levels(schedule: Schedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma in float64 at times (B,), for images such as `like`."""
    alpha, sigma = (expand_to(in_double(level), like) for level in schedule(t, torch.float64))
    return alpha, sigma
