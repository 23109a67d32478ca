"""Consistency models: every noisy image of one path stands for the same clean image, so that one step draws it."""

import math

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.contracts import Denoiser, Schedule
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.goal import Goal, Teacher, require_trainable, take_over
from genexp.diffusion.noising import noised
from genexp.diffusion.prediction import require_positive
from genexp.tensors import expand_to, in_double


class Consistency(Goal):
    """What the denoiser itself says at the time before, which is not trained by it; at the first time the image there.

    Times are those of a grid with equally spaced powers sigma^(1 / rho) of the noise level. The number of its parts
    begins with `first_steps`, doubles and ends with `last_steps`, after equal shares of `images`. The upper end t of a
    part is drawn as often as a normal law of log(sigma) falls into the part, and a loss counts 1 / (sigma_t - sigma_s).
    What is said at s sees the noise of t (consistency training), or a step of Heun's method by a teacher from there
    (consistency distillation, which begins with the teacher's weights).

    Goes with the prediction `Consistent`, the objective `PseudoHuber` and the weighting `UniformSample`.

    Reference: Song et al., "Consistency Models" (2023), algorithms 2 and 3; Song and Dhariwal, "Improved Techniques for
    Training Consistency Models" (2024), table 1, which needs no average of the weights for the goal.

    Args:
        images: Images after which the number of parts has been the last for as long as any other.
        first_steps: Parts of the grid in the beginning, at least 2.
        last_steps: Parts in the end, at least `first_steps`.
        mean: Of log(sigma) in the law of times.
        std: Its standard deviation, above 0.
        rho: Above 0; the larger, the more times are near the data.
        teacher: Denoiser that steps from t to s; None for consistency training.

    Raises:
        ValueError: an argument lies outside its range.
    """

    def __init__(
        self,
        images: int,
        first_steps: int = 10,
        last_steps: int = 1280,
        mean: float = -1.1,
        std: float = 2.0,
        rho: float = 7.0,
        teacher: Teacher | None = None,
    ) -> None:
        if images < 1:
            raise ValueError(f"images must be at least 1, got {images}")
        if first_steps < 2:
            raise ValueError(f"first_steps must be at least 2, got {first_steps}")
        if last_steps < first_steps:
            raise ValueError(f"last_steps must be at least first_steps, {first_steps}, got {last_steps}")
        self.images, self.first_steps, self.last_steps = images, first_steps, last_steps
        self.mean, self.std, self.rho = mean, require_positive("std", std), require_positive("rho", rho)
        self.teacher = teacher

    def begin(self, denoiser: NetworkDenoiser) -> None:
        """Take over the weights of the teacher, if there is one.

        Raises:
            ValueError: times are integers, or the denoiser changes an image at the first of them.
        """
        schedule = denoiser.schedule
        if schedule.discrete:
            raise ValueError(
                f"schedule must be of real times for consistency, as edm, got {type(schedule).__name__} of integer ones"
            )
        require_trainable(denoiser)
        require_boundary(denoiser, schedule.first, "consistent does with lowest={:g}, the noise there")
        if self.teacher is not None:
            take_over(self.teacher, denoiser)

    def steps_at(self, images: int) -> int:
        """Parts of the grid after so many images."""
        doublings = math.log2(self.last_steps / self.first_steps)
        stage = min(int(images / self.images * (math.floor(doublings) + 1)), 64)
        return min(self.first_steps * 2**stage, self.last_steps)

    def grid(self, schedule: Schedule, steps: int) -> tuple[Tensor, Tensor]:
        """`steps` + 1 times from the first to the last, and their noise levels sigma / alpha, both float64."""
        ends = torch.tensor([schedule.first, schedule.last], dtype=torch.float64)
        least, most = ((-schedule.log_snr(ends) / 2).exp() ** (1 / self.rho)).tolist()
        levels = torch.linspace(least, most, steps + 1, dtype=torch.float64) ** self.rho
        times = schedule.at_snr(-2 * levels.log())
        times[0], times[-1] = ends
        return times, levels

    def times(self, place: Tensor, schedule: Schedule, images: int) -> tuple[Tensor, Tensor]:
        """Ends and beginnings of parts of the grid, by the law of their noise levels."""
        times, levels = self.grid(schedule, self.steps_at(images))
        below = torch.special.ndtr((levels.log() - self.mean) / self.std)
        until = (below[1:] - below[0]) / (below[-1] - below[0])
        fine = in_double(place)
        times, until = times.to(fine.device), until.to(fine.device)
        part = torch.searchsorted(until, fine, right=True).clamp(max=len(until) - 1)
        t, s = (each.to(place.device, place.dtype) for each in (times[part + 1], times[part]))
        return t, s

    def weight(self, t: Tensor, s: Tensor, schedule: Schedule) -> Tensor:
        """1 / (sigma_t - sigma_s) (B,), of noise levels over signal."""
        wide, narrow = (_level(schedule, each) for each in (t, s))
        return (1 / (wide - narrow)).to(t.device, t.dtype)

    @torch.no_grad()
    def __call__(
        self, denoiser: NetworkDenoiser, x_t: Tensor, t: Tensor, s: Tensor, x: Tensor, noise: Tensor, told: Condition
    ) -> Tensor:
        """What is said at s, by the same dropout as will be at t."""
        x_s = noised(denoiser.schedule, x, s, noise) if self.teacher is None else heun(self.teacher, x_t, t, s, told)
        return of_same_dropout(denoiser, x_s, s, told)


def of_same_dropout(denoiser: Denoiser, x_s: Tensor, s: Tensor, told: Condition) -> Tensor:
    """What is said of noisy images by the dropout that the next call will draw again."""
    with torch.random.fork_rng(devices=[x_s.device] if x_s.device.type == "cuda" else []):
        return denoiser(x_s, s, told)


def heun(model: Denoiser, x_t: Tensor, t: Tensor, s: Tensor, told: Condition) -> Tensor:
    """A step of Heun's method along the noise level n = sigma / alpha, where y = x / alpha moves by (y - D) / n.

    Times (B,) are above 0; all but the denoiser is computed in float64.
    """
    n, m = (expand_to(_level(model.schedule, each), x_t) for each in (t, s))
    alpha_t, alpha_s = (expand_to(in_double(model.schedule(each, torch.float64)[0]), x_t) for each in (t, s))
    y = in_double(x_t) / alpha_t
    slope = (y - in_double(model(x_t, t, told))) / n
    euler = y + (m - n) * slope
    other = (euler - in_double(model((alpha_s * euler).to(x_t.device, x_t.dtype), s, told))) / m
    return (alpha_s * (y + (m - n) * (slope + other) / 2)).to(x_t.device, x_t.dtype)


def _level(schedule: Schedule, t: Tensor) -> Tensor:
    """sigma / alpha (B,) at times (B,), float64."""
    return (-schedule.log_snr(t) / 2).exp()


def require_boundary(denoiser: NetworkDenoiser, time: float, remedy: str) -> None:
    """Check that the denoiser leaves an image at a time as it is, whatever its network says.

    Args:
        denoiser: The denoiser.
        time: That time.
        remedy: What does, formatted with the noise level sigma / alpha there.

    Raises:
        ValueError: it does not.
    """
    schedule = denoiser.schedule
    t = torch.full((2,), time, dtype=torch.int64 if schedule.discrete else torch.float64)
    alpha, sigma = schedule(t, torch.float64)
    x_t, said = torch.full_like(alpha, 0.5), torch.tensor([-1.0, 1.0], dtype=torch.float64)
    found = denoiser.prediction.to_sample(said, x_t, alpha, sigma)
    if not torch.allclose(found, x_t / alpha, rtol=0, atol=1e-6):
        raise ValueError(
            f"prediction must leave an image at the {'first time' if time else 'time 0'} as it is, as "
            f"{remedy.format(float(sigma[0] / alpha[0]))}, got {type(denoiser.prediction).__name__}, which makes "
            f"{found[0]:.4g} or {found[1]:.4g} of 0.5"
        )
