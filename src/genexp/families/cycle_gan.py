"""Two generators that translate two kinds of pictures into each other, learned without pairs: CycleGAN."""

from typing import Any

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.adversarial.frozen_buffers import frozen_statistics
from genexp.adversarial.parts import Observes
from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts import Batch
from genexp.families.base import Terms
from genexp.families.gan import GAN
from genexp.losses.picture_losses import Absolute
from genexp.tensors import Grid, IndexedNoise

BACK = "back/"
_APART = Absolute()
SHOWN = 8
"""Pictures that are shown on their way there and back."""


class CycleGAN(GAN):
    """A generator of images from pictures, one of pictures from images, and a critic of each kind.

    A batch has an image and a picture (the condition) that need not belong together. Each generator is to fool the
    critic of its kind, and what goes there and back is to come back: |back(G(p)) - p| + |G(back(x)) - x|, means over
    values. With `identity_weight` a generator leaves alone what is of its kind already. The four networks are two
    players; the critics' losses are added up, where the paper halves each. There is no pool of earlier images, of which
    the paper shows its critics half.

    Reference: Zhu, Park, Isola and Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks" (2017).

    Args:
        generator: As in `GAN`, told one picture.
        critic: Of images alone: `critic.untold` names the picture.
        back: A generator of pictures, told an image under the name of the picture.
        back_critic: Of pictures alone.
        cycle_weight: Factor on the loss of what comes back, at least 0; 10 in the paper.
        identity_weight: Factor on the loss of what should stay, at least 0; 5 in the paper, for paintings.
        settings: Everything else that `GAN` takes.

    Raises:
        ValueError: a weight is negative; the model is told more than one picture, or a critic is told it; something
            looks through the critic, or follows its steps.
    """

    averaged_modules = ("generator", "back")

    def __init__(
        self,
        generator: nn.Module,
        critic: Critic,
        back: nn.Module,
        back_critic: Critic,
        cycle_weight: float = 10.0,
        identity_weight: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(generator, critic, **settings)
        for name, weight in (("cycle_weight", cycle_weight), ("identity_weight", identity_weight)):
            if weight < 0:
                raise ValueError(f"{name} must be at least 0, got {weight}")
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.back, self.back_critic = back, back_critic
        self.picture = self._the_picture()
        self.conditioning.require_read_by(back, "back")
        if self.unrolled is not None or self.consensus is not None:
            raise ValueError("unrolled and consensus must be null for model=cycle_gan, which has two critics")
        if self.reuse_fakes:
            raise ValueError("reuse_fakes must be false for model=cycle_gan, which has two generators, got true")
        for key, each in (("critic", critic), ("back_critic", back_critic)):
            _require_simple(key, each)

    def players(self) -> dict[str, list[nn.Module]]:
        """The networks of either player."""
        return {"critic": [self.critic, self.back_critic], "generator": [self.generator, self.back]}

    def turned(self, image: Tensor) -> Condition:
        """What the generator of pictures is told of images (B, C, H, W)."""
        return {self.picture: image}

    def validate_batch(self, batch: Batch) -> Terms:
        """As for `GAN`, and the mean absolute difference of pictures that went there and back."""
        _, again = self._there_and_back(batch)
        return super().validate_batch(batch) | {"val/cycle": _APART(again, batch[self.picture]).mean()}

    @torch.no_grad()
    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """The first pictures, the images made of them, and what these are made to again."""
        first = {name: rows[:SHOWN] for name, rows in batch.items()}
        there, again = self._there_and_back(first)
        shown = torch.cat([first[self.picture], there, again])
        return {"cycle": Grid(shown, len(there), down=("picture", "image", "again"))}

    def _there_and_back(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images of the pictures of a batch, and pictures of these."""
        there = self.generator(self._latents(batch["image"]), self.conditioning.told(batch))
        return there, self.back(self._latents(batch["image"], self.back), self.turned(there))

    def _the_picture(self) -> str:
        if len(self.conditioning.names) != 1 or not self.conditioning.pictures:
            raise ValueError(f"conditions must be one picture for model=cycle_gan, got {self.conditioning}")
        (name,) = self.conditioning.names
        for key, critic in (("critic", self.critic), ("back_critic", self.back_critic)):
            if name not in critic.untold:
                raise ValueError(f"{key}.untold must name {name} for model=cycle_gan, got {list(critic.untold)}")
            Conditioning().require_read_by(critic.discriminator, f"{key}.discriminator")
        return name

    def _made(self, part: Batch) -> tuple[Tensor, Tensor]:
        """Images of the pictures, and pictures of the images."""
        there = self.generator(part["latent"], self.conditioning.told(part))
        return there, self.back(part[f"{BACK}latent"], self.turned(part["image"]))

    def _draw(self, batch: Batch) -> dict[str, Tensor]:
        drawn = super()._draw(batch)
        of_back = self.back_critic.draw(batch[self.picture], self.images_seen)
        of_back["latent"] = self._latents(batch["image"], self.back)
        return drawn | {f"{BACK}{name}": value for name, value in of_back.items()}

    def _critic_step(self, batch: Batch) -> Terms:
        terms = super()._critic_step(batch)
        self.back_critic.constrain()
        return terms

    def _critic_terms(self, part: Batch) -> Terms:
        terms = super()._critic_terms(part)
        with torch.no_grad():
            made = self.back(part[f"{BACK}latent"], self.turned(part["image"]))
        other = self.back_critic.loss(part[self.picture], made, UNCONDITIONAL, _of_back(part))
        means = {name: values.mean() for name, values in other.items()}
        return terms | {"loss": terms["loss"] + means["loss"], "back_real": means["real"], "back_fake": means["fake"]}

    def _generator_step(self, batch: Batch) -> Terms:
        with frozen_statistics(self.back_critic):
            return super()._generator_step(batch)

    def _generator_terms(self, part: Batch) -> Terms:
        condition, picture, image = self.conditioning.told(part), part[self.picture], part["image"]
        there, back = self._made(part)
        terms = self.penalties.terms(self._step(part, condition, there), part)
        loss = sum(terms.values())
        if self.adversarial_weight:
            fooling = self._adversarial(part, there, condition)
            fooling = fooling + self.back_critic.generator_loss(picture, back, UNCONDITIONAL, _of_back(part))
            loss = loss + self.adversarial_weight * fooling
        picture_again = self.back(part[f"{BACK}latent"], self.turned(there))
        image_again = self.generator(part["latent"], {self.picture: back})
        terms["cycle"] = _APART(picture_again, picture) + _APART(image_again, image)
        loss = loss + self.cycle_weight * terms["cycle"]
        if self.identity_weight:
            kept = self.generator(part["latent"], {self.picture: image})
            stays = self.back(part[f"{BACK}latent"], self.turned(picture))
            terms["identity"] = _APART(kept, image) + _APART(stays, picture)
            loss = loss + self.identity_weight * terms["identity"]
        return {name: values.mean() for name, values in {"loss": loss, **terms}.items()}


def _require_simple(key: str, critic: Critic) -> None:
    """Raise ValueError where parts of a critic want further steps, or follow what one critic is told of training."""
    following = [name for name, part in critic.penalties.parts.items() if isinstance(part, Observes)]
    following += [name for name, part in critic.augmentations.items() if isinstance(part, Observes)]
    if following:
        raise ValueError(f"{key} must have no {following[0]} for model=cycle_gan, whose two critics are one player")
    if critic.penalties.intervals:
        given = critic.penalties.intervals[0]
        raise ValueError(f"{key}.penalties must have interval=1 for model=cycle_gan, got {given}")


def _of_back(part: Batch) -> dict[str, Tensor]:
    """What was drawn for the critic of pictures, by its own names."""
    return {name.removeprefix(BACK): value for name, value in part.items() if name.startswith(BACK)}
