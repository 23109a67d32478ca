"""A small generator that learns from the images of a finished one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from genexp.adversarial.auxiliary import require_single
from genexp.adversarial.critic import Critic
from genexp.adversarial.parts import Penalty
from genexp.adversarial.steps import GeneratorStep
from genexp.conditioning.base import Condition, Conditioning
from genexp.contracts import Batch
from genexp.families.base import Terms
from genexp.families.gan import GAN
from genexp.ramps import Constant, Ramp
from genexp.tensors import expand_to


class TeachingGenerator(Protocol):
    """The generator of a finished run; it takes no gradient."""

    latent_shape: tuple[int, ...]
    image_shape: tuple[int, ...]
    conditioning: Conditioning

    def decode(self, latent: Tensor, condition: Condition) -> Tensor: ...


@dataclass(frozen=True)
class Distilled:
    """A student should make of a latent what its teacher makes of it, in pixels and in the eyes of its own critic.

    pixel * mean |G(z) - T(z)| + feature * mean |f(G(z)) - f(T(z))|, f the last features of the student's critic.

    Reference: Chang and Lu, "TinyGAN: Distilling BigGAN for Conditional Image Generation" (2020), section 3, there with
    the features of all levels.

    Args:
        teacher: The teacher.
        pixel: Factor on the distance of images, as a function of images seen.
        feature: Factor on the distance of features, at least 0.

    Raises:
        ValueError: `feature` is negative.
    """

    scope: ClassVar[Literal["scores"]] = "scores"
    teacher: TeachingGenerator
    pixel: Ramp = Constant()
    feature: float = 1.0
    interval: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if self.feature < 0:
            raise ValueError(f"feature must be at least 0, got {self.feature}")

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """The factor on the distance of images (B,): nothing random, but the same in all micro-batches."""
        return torch.full((len(image),), float(self.pixel(images_seen)), device=image.device)

    def __call__(self, step: GeneratorStep) -> Tensor:
        """Penalty (B,)."""
        made, aim = step.image(), self.teacher.decode(step.latent, step.condition)
        pixel = self.draw(step.real, 0) if step.noise is None else step.noise
        value = pixel * (made - aim).abs().flatten(1).mean(1)
        if self.feature:
            with torch.no_grad():
                seen = step.features(aim, "fake")
            value = value + self.feature * (step.features(made, "fake") - seen).abs().flatten(1).mean(1)
        return value


class StudentGAN(GAN):
    """A GAN whose generator learns from a frozen teacher, image by image and against a critic of the teacher's images.

    The real side of the critic are images of the teacher, of the same latents and conditions as the student's, and with
    probability w / (1 + w) of each, drawn anew, images of the data: in expectation that is the adversarial loss against
    the teacher and w times that against the data, over 1 + w. The teacher is needed for training and resuming alone.

    Reference: Chang and Lu, "TinyGAN: Distilling BigGAN for Conditional Image Generation" (2020), with w = 0.2 in the
    authors' code.

    Args:
        generator: The student, of the teacher's latents and conditions.
        critic: The opponent.
        teacher: The teacher; None only to draw from a trained student.
        pixel: Factor on the mean absolute distance of images, as a function of images seen.
        feature: Factor on that of the critic's last features, at least 0.
        data_weight: w, at least 0.
        generator_penalties: As in `GAN`, beside the distance from the teacher, `distilled`.
        settings: Everything else that `GAN` takes.

    Raises:
        ValueError: a factor is negative, or teacher and student have other latents or conditions, or features of packs
            would be compared.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: Critic,
        teacher: TeachingGenerator | None,
        pixel: Ramp = Constant(),
        feature: float = 1.0,
        data_weight: float = 0.2,
        generator_penalties: Mapping[str, Penalty[GeneratorStep]] | None = None,
        **settings: Any,
    ) -> None:
        taught = {} if teacher is None else {"distilled": Distilled(teacher, pixel, feature)}
        super().__init__(generator, critic, generator_penalties={**(generator_penalties or {}), **taught}, **settings)
        if data_weight < 0:
            raise ValueError(f"data_weight must be at least 0, got {data_weight}")
        if feature:
            require_single(critic.discriminator, "beside a teacher with feature above 0")
        self.teacher, self.data_share = teacher, data_weight / (1 + data_weight)
        if teacher is None:
            return
        ours, theirs = (f"{tuple(each.latent_shape)}" for each in (generator, teacher))
        if ours != theirs:
            raise ValueError(f"generator must have the latents of its teacher, {theirs}, got {ours}")
        if self.conditioning != teacher.conditioning:
            raise ValueError(
                f"teacher must be told what the student is, {self.conditioning}, got {teacher.conditioning}"
            )

    def train_batch(self, batch: Batch) -> Terms:
        """As for a GAN.

        Raises:
            ValueError: there is no teacher, or one of other images.
        """
        if self.teacher is None:
            raise ValueError("teacher must be a finished run in training, got null")
        if tuple(batch["image"].shape[1:]) != tuple(self.teacher.image_shape):
            ours = tuple(batch["image"].shape[1:])
            raise ValueError(f"teacher must make images of the data's shape, {ours}, got {self.teacher.image_shape}")
        return super().train_batch(batch)

    def _draw(self, batch: Batch) -> dict[str, Tensor]:
        drawn = super()._draw(batch)
        image = drawn["image"]
        taught = self.teacher.decode(drawn["latent"], self.conditioning.told(drawn)).to(image.dtype)
        of_data = torch.rand(len(image), device=image.device) < self.data_share
        return drawn | {"image": torch.where(expand_to(of_data, image), image, taught)}
