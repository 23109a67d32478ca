"""An auxiliary classifier: a critic that also says which class it sees, and a generator that is to be recognised."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genexp.networks.packing import InPacks


class AuxiliaryClassifier(nn.Module):
    """Class logits from the last features of the discriminator, trained beside its scores.

    The critic minimises `weight` times the cross-entropy of the class at real images, and at fakes where `of_fakes`;
    the generator `generator_weight` times that at its fakes. The discriminator is then told no class itself.

    Reference: Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs" (2017), whose critic
    also classifies the fakes.

    Args:
        num_classes: Number of classes.
        weight: Factor in the critic's loss.
        generator_weight: Factor in the generator's loss.
        of_fakes: Whether the critic learns from fakes too.

    Raises:
        ValueError: there are no classes.
    """

    output: nn.Module

    def __init__(
        self, num_classes: int | None, weight: float = 1.0, generator_weight: float = 1.0, of_fakes: bool = True
    ) -> None:
        super().__init__()
        if not num_classes:
            raise ValueError("num_classes must be given for an auxiliary classifier, got none")
        self.num_classes, self.weight, self.generator_weight = num_classes, weight, generator_weight
        self.of_fakes = of_fakes

    def follow(self, features: int) -> None:
        """Classify by so many features."""
        self.output = nn.Linear(features, self.num_classes)

    def critic_terms(self, real: Tensor, fake: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Of features (B, F) and classes (B,): the loss (B,), `classes`, and the share of real images recognised."""
        logits = self.output(real).float()
        loss = cross_entropy(logits, label, reduction="none")
        if self.of_fakes:
            loss = loss + cross_entropy(self.output(fake).float(), label, reduction="none")
        return {"classes": self.weight * loss, "recognised": (logits.argmax(1) == label).float()}

    def generator_loss(self, fake: Tensor, label: Tensor) -> Tensor:
        """The generator's loss (B,) of the features (B, F) of its fakes."""
        return self.generator_weight * cross_entropy(self.output(fake).float(), label, reduction="none")


def require_single(discriminator: object, where: str) -> None:
    """Raise ValueError for a discriminator of packs, where the features of every image by itself are looked at."""
    if isinstance(discriminator, InPacks) and discriminator.pack > 1:
        raise ValueError(
            f"discriminator.pack must be 1 {where}, which looks at features of every image, got {discriminator.pack}"
        )
