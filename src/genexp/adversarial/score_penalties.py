"""Penalties on the scores of a critic, not on their gradients."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from genexp.adversarial.parts import Augmentation, augmented
from genexp.adversarial.steps import CriticStep, Side, as_they_are
from genexp.conditioning.base import Condition


class Consistency(nn.Module):
    """The score of an image should not change under an augmentation: weight * (D(x) - D(T(x)))^2.

    On real images alone it is consistency regularisation, on fakes as well the balanced form.

    References: Zhang et al., "Consistency Regularization for Generative Adversarial Networks" (2020), equation 3; Zhao
    et al., "Improved Consistency Regularization for GANs" (2021), section 2.1.

    Args:
        augmentation: The changes T that should not matter.
        weight: Factor on the squared difference at real images.
        fake_weight: Factor on that at fakes; 0 for consistency on real images alone.
        interval: Steps from one evaluation to the next.
    """

    scope: ClassVar[Literal["scores"]] = "scores"

    def __init__(
        self, augmentation: Augmentation, weight: float = 10.0, fake_weight: float = 0.0, interval: int = 1
    ) -> None:
        super().__init__()
        self.augmentation, self.weight, self.fake_weight, self.interval = augmentation, weight, fake_weight, interval

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """What the augmentation draws for both sides (B, 2, ...)."""
        return torch.stack([self.augmentation.draw(image, images_seen) for _ in range(2)], 1)

    def forward(self, step: CriticStep) -> Tensor:
        """Penalty (B,)."""
        noise = self.draw(step.real, 0) if step.noise is None else step.noise
        value = self.weight * self._change(step, step.real, "real", noise[:, 0])
        if self.fake_weight:
            value = value + self.fake_weight * self._change(step, step.fake, "fake", noise[:, 1])
        return value

    def _change(self, step: CriticStep, image: Tensor, side: Side, drawn: Tensor) -> Tensor:
        plain = step.score(image, side, as_they_are)

        def changed(image: Tensor, condition: Condition, side: Side) -> tuple[Tensor, Condition]:
            return augmented(self.augmentation, drawn, image, condition, step.on_image)

        return (plain - step.score(image, side, changed)).square()


class LeCam(nn.Module):
    """Holds the scores of each side near the mean score that the other had so far: keeps a critic with few data calm.

    weight * ((D(x) - a_F)^2 + (D(G(z)) - a_R)^2), where a_R and a_F are moving averages of the real and fake scores of
    the steps before this one.

    Reference: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data" (2021), equation 2.

    Args:
        weight: Factor lambda.
        decay: Share of a moving average that one step leaves, in [0, 1).
        start: Training images before which there is no penalty, while the averages find their place.
        interval: Steps from one evaluation to the next.

    Raises:
        ValueError: `decay` lies outside [0, 1) or `start` below 0.
    """

    scope: ClassVar[Literal["scores"]] = "scores"
    real: Tensor
    fake: Tensor
    images: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99, start: int = 0, interval: int = 1) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        if start < 0:
            raise ValueError(f"start must be at least 0 images, got {start}")
        self.weight, self.decay, self.start, self.interval = weight, decay, start, interval
        self.register_buffer("real", torch.tensor(0.0))
        self.register_buffer("fake", torch.tensor(0.0))
        self.register_buffer("images", torch.tensor(0))

    def forward(self, step: CriticStep) -> Tensor:
        """Penalty (B,)."""
        real = step.score(step.real, "real").float() if step.real_score is None else step.real_score
        fake = step.score(step.fake, "fake").float() if step.fake_score is None else step.fake_score
        value = (real - self.fake).square() + (fake - self.real).square()
        return self.weight * value * (self.images >= self.start)

    @torch.no_grad()
    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Move the averages by the mean scores of a step."""
        self.real.lerp_(means["real"].float(), 1 - self.decay)
        self.fake.lerp_(means["fake"].float(), 1 - self.decay)
        self.images += images
