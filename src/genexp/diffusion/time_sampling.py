"""At which times a diffusion model is trained, and what a loss counts there."""

from typing import Protocol

import torch
from torch import Tensor, nn

from genexp.contracts import Schedule
from genexp.diffusion.prediction import require_positive
from genexp.tensors import in_double


class TimeSampling(Protocol):
    """Training times from places (B,) uniform in [0, 1); to be inherited from, for what it gives itself."""

    learns = False
    """Whether `learn` wants the losses of every step."""

    def begin(self, schedule: Schedule) -> None:
        """Refuse a schedule that it cannot draw from, with a ValueError, and begin its history."""

    def times(self, place: Tensor, schedule: Schedule) -> Tensor:
        """Times (B,) by a law that stays as it is, rising with the places; held-out losses are taken at these."""
        return schedule.times(place)

    def draw(self, place: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor | None]:
        """Training times (B,), and what their losses are multiplied by; None for nothing."""
        return self.times(place, schedule), None

    def learn(self, t: Tensor, loss: Tensor) -> None:
        """Look at the losses (B,) that a step had at its times (B,), before they were multiplied."""


class Uniform(TimeSampling):
    """The training times of the schedule, each as likely as the other.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), algorithm 1.
    """


class Below(TimeSampling):
    """The training times of the schedule up to a share of it alone: for a refiner, which is called at little noise.

    Reference: Podell et al., "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis" (2023),
    section 2.5, with the first 200 of 1000 noise levels.

    Args:
        most: The share, in (0, 1].

    Raises:
        ValueError: `most` is out of range.
    """

    def __init__(self, most: float = 0.2) -> None:
        if not 0 < most <= 1:
            raise ValueError(f"most must lie in (0, 1], got {most}")
        self.most = most

    def times(self, place: Tensor, schedule: Schedule) -> Tensor:
        """Times (B,) from places (B,)."""
        return schedule.times(self.most * place)


class LogNormal(TimeSampling):
    """Noise levels sigma / alpha whose logarithm is normal; times outside those of the schedule become its ends.

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), table 1.

    Args:
        mean: Of the logarithm.
        std: Its standard deviation, above 0.

    Raises:
        ValueError: `std` is not above 0.
    """

    def __init__(self, mean: float = -1.2, std: float = 1.2) -> None:
        self.mean, self.std = mean, require_positive("std", std)

    def times(self, place: Tensor, schedule: Schedule) -> Tensor:
        """Times (B,) from places (B,); of a discrete schedule the nearest integers."""
        level = self.mean + self.std * torch.special.ndtri(in_double(place))
        t = schedule.at_snr(-2 * level).clamp(schedule.first, schedule.last).to(place.device)
        return t.round().long() if schedule.discrete else t.to(place.dtype)


class LogitNormal(TimeSampling):
    """Places on the schedule whose logit is normal: the middle of the way more often than its ends.

    Reference: Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (2024), section
    3.1.

    Args:
        mean: Of the logit; above 0 prefers noisy times.
        std: Its standard deviation, above 0.

    Raises:
        ValueError: `std` is not above 0.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        self.mean, self.std = mean, require_positive("std", std)

    def times(self, place: Tensor, schedule: Schedule) -> Tensor:
        """Times (B,) from places (B,)."""
        logit = self.mean + self.std * torch.special.ndtri(in_double(place))
        inside = logit.sigmoid().to(place.device, place.dtype)
        return schedule.times(inside.clamp(max=1 - torch.finfo(place.dtype).eps))


class Stratified(nn.Module, TimeSampling):
    """One time in each of B equal parts of another law, for the B images of a batch: the mean loss varies less.

    Reference: the idea of Kingma et al., "Variational Diffusion Models" (2021), appendix I.1, with a place of its own
    in every part.

    Args:
        law: The law; what it learns is learned.

    Raises:
        ValueError: it is stratified itself.
    """

    def __init__(self, law: TimeSampling = Uniform()) -> None:
        super().__init__()
        if isinstance(law, Stratified):
            raise ValueError("law must be another than Stratified, got Stratified")
        self.law, self.learns = law, law.learns

    def begin(self, schedule: Schedule) -> None:
        """Begin the law's."""
        self.law.begin(schedule)

    def times(self, place: Tensor, schedule: Schedule) -> Tensor:
        """The times (B,) of the law."""
        return self.law.times(place, schedule)

    def draw(self, place: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor | None]:
        """Times of the law at places in parts of their own."""
        part = torch.arange(len(place), device=place.device)
        return self.law.draw(((part + place) / len(place)).clamp(max=1 - torch.finfo(place.dtype).eps), schedule)

    def learn(self, t: Tensor, loss: Tensor) -> None:
        """What the law learns."""
        self.law.learn(t, loss)


class LossSecondMoment(nn.Module, TimeSampling):
    """Times as often as their losses are large, p_t ~ sqrt(E[L_t^2]), and losses divided by T p_t in return.

    The mean loss stays what it is with uniform times, and varies less. The moments are those of the last `history`
    losses at every time; until all times have so many, times are uniform. The history is part of a checkpoint.

    Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.3.

    Args:
        history: Losses that are kept a time, at least 1.
        uniform: Share of times that are drawn uniformly all the same, in (0, 1].

    Raises:
        ValueError: an argument lies outside its range.
    """

    learns = True

    def __init__(self, history: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        if history < 1:
            raise ValueError(f"history must be at least 1, got {history}")
        if not 0 < uniform <= 1:
            raise ValueError(f"uniform must lie in (0, 1], got {uniform}")
        self.history, self.uniform = history, uniform

    def begin(self, schedule: Schedule) -> None:
        """Begin an empty history of the times 1 .. T.

        Raises:
            ValueError: times are real.
        """
        if not schedule.discrete:
            raise ValueError(
                f"time_sampling must be another for a schedule of real times, got {type(self).__name__} with "
                f"{type(schedule).__name__}: it keeps losses for every integer time"
            )
        steps = int(schedule.last)
        self.register_buffer("losses", torch.zeros(steps, self.history))
        self.register_buffer("seen", torch.zeros(steps, dtype=torch.int64))

    def known(self) -> Tensor:
        """Whether all times have a whole history, (); it stays on the device, which a step does not wait for."""
        return (self.seen >= self.history).all()

    def probabilities(self) -> Tensor:
        """Of the times 1 .. T, (T,), once they are known."""
        size = self.losses.square().mean(1).sqrt() + torch.finfo(self.losses.dtype).tiny
        return (1 - self.uniform) * size / size.sum() + self.uniform / len(size)

    def draw(self, place: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor | None]:
        """Integer times (B,) and 1 / (T p_t)."""
        p, known = self.probabilities(), self.known()
        below = p.cumsum(0)
        index = torch.searchsorted(below / below[-1], place.to(p.dtype), right=True).clamp(max=len(p) - 1)
        weight = (1 / (len(p) * p[index])).to(place.dtype)
        return torch.where(known, index + 1, schedule.times(place)), torch.where(known, weight, 1)

    def learn(self, t: Tensor, loss: Tensor) -> None:
        """Keep the losses in the order of the batch, each in the place of the oldest of its time."""
        order = t.argsort(stable=True)
        index, loss = t[order] - 1, loss[order].to(self.losses.dtype)
        nth = torch.arange(len(index), device=index.device) - torch.searchsorted(index, index)
        count = torch.zeros_like(self.seen).scatter_add(0, index, torch.ones_like(index))
        kept = nth >= count[index] - self.history
        row = torch.where(kept, index, len(self.seen))  # one past the last, for losses that are overwritten at once
        wider = torch.cat([self.losses, self.losses.new_zeros(1, self.history)])
        wider[row, (self.seen[index] + nth) % self.history] = loss
        self.losses.copy_(wider[:-1])
        self.seen += count
