"""What the terms of one step of either player are made of."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, joined

Side = Literal["real", "fake"]
Seen = tuple[Tensor, Condition]
"""Images (B, ...) of one side and what they are judged under."""
View = Callable[[Tensor, Condition, Side], Seen]
"""How a discriminator gets to see images (B, ...) of one side and what they are judged under: augmented by the draws of
that side."""


Change = Callable[[Tensor], Tensor]
OnImage = Callable[[Tensor, Change], Tensor]
"""How images (B, ...) are changed where they lie in the samples that a discriminator judges."""


def whole(sample: Tensor, change: Change) -> Tensor:
    """The samples of a discriminator of images are these."""
    return change(sample)


def as_they_are(image: Tensor, condition: Condition, side: Side) -> tuple[Tensor, Condition]:
    """The view of a critic without augmentations."""
    return image, condition


@dataclass(frozen=True)
class CriticStep:
    """One step of a critic, for its penalties.

    Args:
        discriminator: The bare network; a compiled one has no second derivative.
        real: Images (B, ...) of the data, not augmented; of a joint discriminator pairs (B, D) with their latents.
        fake: As many generated images or pairs, cut from the generator.
        condition: What both are judged under.
        mix: Uniform draws (B,) in [0, 1], for points between real and fake.
        noise: What the penalty drew for this step, (B, ...), see `Draws`; None for one that draws nothing.
        real_score: Scores (B,) of the real images as they were seen; None in the further steps of lazy penalties.
        fake_score: Scores (B,) of the fakes as they were seen, or None as well.
        view: How the discriminator sees an image and its condition.
        on_image: Changes the images in samples.
    """

    discriminator: nn.Module
    real: Tensor
    fake: Tensor
    condition: Condition = field(default_factory=lambda: UNCONDITIONAL)
    mix: Tensor | None = None
    noise: Tensor | None = None
    real_score: Tensor | None = None
    fake_score: Tensor | None = None
    view: View = as_they_are
    on_image: OnImage = whole

    @property
    def player(self) -> nn.Module:
        """The network that takes the step."""
        return self.discriminator

    def scored(self, real: Tensor, fake: Tensor) -> "CriticStep":
        """The step with its scores (B,)."""
        return replace(self, real_score=real, fake_score=fake)

    def score(self, image: Tensor, side: Side = "real", view: View | None = None) -> Tensor:
        """Scores (B,) of images (B, ...) seen as those of one side, or by another view; patches are averaged."""
        return patches_averaged(self.discriminator(*(view or self.view)(image, self.condition, side)))


@dataclass(frozen=True)
class GeneratorStep:
    """One step of a generator, for its penalties.

    Args:
        generator: The network.
        discriminator: The bare network of the critic; its weights take no gradient here.
        latent: Latents (B, ...) of the fakes.
        real: As many images of the data.
        fake: Generated images (B, C, H, W), with their graph; None where they are not made yet.
        condition: What the generator is told.
        told: What the discriminator is told.
        noise: What the penalty drew for this step, (B, ...); None for one that draws nothing.
        view: How the discriminator sees an image and its condition.
    """

    generator: nn.Module
    discriminator: nn.Module
    latent: Tensor
    real: Tensor
    fake: Tensor | None = None
    condition: Condition = field(default_factory=lambda: UNCONDITIONAL)
    told: Condition = field(default_factory=lambda: UNCONDITIONAL)
    noise: Tensor | None = None
    view: View = as_they_are

    @property
    def player(self) -> nn.Module:
        """The network that takes the step."""
        return self.generator

    def features(self, image: Tensor, side: Side) -> Tensor:
        """The last features (B, F) of the discriminator for images (B, ...), seen as those of one side."""
        return self.discriminator.judged(*self.view(image, self.told, side)).features.float()

    def image(self) -> Tensor:
        """The generated images (B, C, H, W), with their graph."""
        return self.generator(self.latent, self.condition) if self.fake is None else self.fake


def patches_averaged(score: Tensor) -> Tensor:
    """Scores (B,), or (B, ...) of patches, in float32 to one a sample (B,)."""
    return score.float().flatten(1).mean(1) if score.ndim > 1 else score.float()


def together(real: Seen, fake: Seen, told: Callable[[Condition], Condition] = dict) -> Seen:
    """Both sides as one batch, under what of their conditions is told."""
    return torch.cat([real[0], fake[0]]), told(joined(real[1], fake[1]))


def apart(both: Tensor, real: Seen) -> tuple[Tensor, Tensor]:
    """What was said of both sides, side by side."""
    return both[: len(real[0])], both[len(real[0]) :]
