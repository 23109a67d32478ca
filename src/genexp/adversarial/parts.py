"""What the two players are made of: the interfaces of their parts, and how an augmentation changes a pair."""

from collections.abc import Mapping
from functools import partial
from typing import Literal, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from genexp.adversarial.steps import CriticStep, GeneratorStep, OnImage, whole
from genexp.conditioning.base import Condition
from genexp.sample_kinds import SampleKind

Step = TypeVar("Step", CriticStep, GeneratorStep, contravariant=True)


@runtime_checkable
class AdversarialObjective(Protocol):
    """An adversarial objective: per-sample losses of both players from the critic's scores. Shapes (B,) in, (B,) out.

    `scope` says whose scores the loss of one sample depends on: `sample`, its own; `pair`, those of its pair (real i,
    fake i); `batch`, those of all.
    """

    @property
    def scope(self) -> Literal["sample", "pair", "batch"]: ...

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises."""
        ...

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """What the generator minimises; `real` may be None where `scope` is `sample`, which saves a pass."""
        ...


@runtime_checkable
class JointObjective(AdversarialObjective, Protocol):
    """An objective for a generator and an encoder, too, who make fakes and the latents of real images."""

    def both(self, real: Tensor, fake: Tensor) -> Tensor:
        """What both minimise together, with gradients through the scores of both sides."""
        ...


class Penalty(Protocol[Step]):
    """A regulariser of a player: already weighted values (B,) of a step, or one () of its weights.

    `scope` is `sample` where it differentiates the score of a sample by that sample alone, which needs a discriminator
    that judges samples one by one; `scores` where it looks at scores; `batch` where it is a mean over the batch, which
    then must not be split; `weights` where it looks at no sample. `interval` is the number of steps of the player from
    one evaluation to the next, see `genexp.adversarial.regularisers.Penalties`.
    """

    @property
    def scope(self) -> Literal["sample", "scores", "batch", "weights"]: ...

    @property
    def interval(self) -> int: ...

    def __call__(self, step: Step) -> Tensor: ...


@runtime_checkable
class Draws(Protocol):
    """A part that needs randomness: all of it is drawn before a batch is split, a row for every sample."""

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """Draws (B, ...) for images (B, ...), after so many training images."""
        ...


@runtime_checkable
class Observes(Protocol):
    """A part with a state that follows training: it is told the means of every step once that is taken."""

    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Terms (), averaged over the `images` of a step of its player; of a critic, `real`, `fake`, `real_sign`."""
        ...


@runtime_checkable
class Follows(Protocol):
    """A part whose state is made of the parameters of its player."""

    def follow(self, player: nn.Module) -> None:
        """Be bound to the network of the player, once."""
        ...


@runtime_checkable
class Augmentation(Draws, Protocol):
    """What a discriminator sees in place of an image, differentiable, in the steps of both players."""

    def __call__(self, image: Tensor, drawn: Tensor) -> Tensor:
        """Images (B, ...) under what `draw` gave for them."""
        ...

    def beside(self, picture: Tensor, drawn: Tensor) -> Tensor:
        """Pictures (B, C, H, W) that the images are judged beside: moved and cut as these are, in their own colours."""
        ...


def augmented(
    augmentation: Augmentation, drawn: Tensor, image: Tensor, condition: Condition, on_image: OnImage = whole
) -> tuple[Tensor, Condition]:
    """Images (B, ...) under what was drawn for them, and their condition with its pictures moved as the images are.

    Args:
        augmentation: What changes them.
        drawn: What it drew for them, a row each.
        image: The images, or samples that hold them.
        condition: What they are judged under.
        on_image: Changes the images in samples.
    """
    pictures = {name: rows for name, rows in condition.items() if SampleKind.IMAGES.has(rows)}
    moved = {name: augmentation.beside(rows, drawn) for name, rows in pictures.items()}
    return on_image(image, partial(augmentation, drawn=drawn)), {**condition, **moved}
