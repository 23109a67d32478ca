"""Values that change with the number of images seen: learning-rate factors, KL weights, guidance of any kind.

A ramp is a pure function of `images_seen`. It keeps no state, so a resumed run continues it exactly.
"""

import math
from dataclasses import dataclass
from typing import Protocol


class Ramp(Protocol):
    """A scalar as a function of the number of training images seen so far."""

    def __call__(self, images_seen: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """The same `value` throughout."""

    value: float = 1.0

    def __call__(self, images_seen: int) -> float:
        return self.value


@dataclass(frozen=True)
class Linear:
    """From `start` to `end` on a straight line over the first `images` images, then `end`."""

    start: float
    end: float
    images: int

    def __post_init__(self) -> None:
        _require_positive("images", self.images)

    def __call__(self, images_seen: int) -> float:
        return self.start + (self.end - self.start) * min(images_seen / self.images, 1.0)


@dataclass(frozen=True)
class Cosine:
    """Warm up linearly from 0 to 1 over `warmup` images, then fall to `floor` on a half cosine that ends at `images`.

    A run that is shorter than the warm-up, such as a quick check, ends in it.

    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without restarts.
    """

    images: int
    warmup: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        _require_positive("images", self.images)
        if self.warmup < 0:
            raise ValueError(f"warmup must be at least 0 images, got {self.warmup}")

    def __call__(self, images_seen: int) -> float:
        if images_seen < self.warmup:
            return images_seen / self.warmup
        done = min((images_seen - self.warmup) / max(self.images - self.warmup, 1), 1.0)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Cyclical:
    """Rise linearly from `start` to `end` during the first `rise` share of every cycle of `images`, then hold `end`.

    Reference: Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing" (2019).
    """

    start: float
    end: float
    images: int
    rise: float = 0.5

    def __post_init__(self) -> None:
        _require_positive("images", self.images)
        if not 0 < self.rise <= 1:
            raise ValueError(f"rise must lie in (0, 1], got {self.rise}")

    def __call__(self, images_seen: int) -> float:
        phase = (images_seen % self.images) / self.images
        return self.start + (self.end - self.start) * min(phase / self.rise, 1.0)


def _require_positive(name: str, value: int) -> None:
    if value <= 0:
        raise ValueError(f"{name} must be a positive number of images, got {value}")
