"""Noisy images of a schedule, for what is trained on them beside a denoiser."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.contracts import Schedule
from genexp.tensors import expand_to


@runtime_checkable
class OfNoisyImages(Protocol):
    """A classifier of the noisy images of a schedule."""

    schedule: Schedule

    def logits(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Logits (B, num_classes) of noisy images (B, ...) at times (B,), differentiable in the images."""
        ...


class GuidingClassifier(OfNoisyImages, Protocol):
    """One that says of what images and classes it is, so that a model of others is not guided by it."""

    image_shape: tuple[int, ...]
    num_classes: int


class Noising:
    """x_t = alpha x + sigma eps at a time as likely as any other that a diffusion of the schedule is trained at.

    Args:
        schedule: Signal and noise levels.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def draw(self, image: Tensor) -> dict[str, Tensor]:
        """What is random in it: `time` (B,) and standard normal `noise` of the shape of the images (B, ...)."""
        place = torch.rand(len(image), device=image.device)
        return {"time": self.schedule.times(place), "noise": torch.randn_like(image)}

    def __call__(self, image: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Noisy images (B, ...) from clean ones, times (B,) and noise."""
        return noised(self.schedule, image, t, noise)


def noised(schedule: Schedule, image: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """alpha x + sigma eps (B, ...) of clean images (B, ...), times (B,) and noise."""
    alpha, sigma = (expand_to(level, image) for level in schedule(t, image.dtype))
    return alpha * image + sigma * noise


class NoisyClassifier:
    """Logits of the classes of noisy images, by a network of images and times.

    The network is shown x_t / sqrt(alpha^2 + sigma^2), so that its input is about as large at every level of noise, and
    what the schedule says of the time.

    Reference: Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), section 4.

    Args:
        network: Module of images (B, ...) and times (B,) to logits (B, num_classes).
        schedule: Signal and noise levels.
    """

    def __init__(self, network: nn.Module, schedule: Schedule) -> None:
        self.network, self.schedule = network, schedule

    def logits(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Logits (B, num_classes) of noisy images (B, ...) at times (B,)."""
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, x_t.dtype))
        return self.network(x_t / torch.hypot(alpha, sigma), self.schedule.embedded(t))
