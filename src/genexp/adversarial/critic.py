"""The critic: the one object that plays against a generator, in every family that has an adversarial term."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from genexp.adversarial.auxiliary import AuxiliaryClassifier, require_single
from genexp.adversarial.frozen_buffers import coupling
from genexp.adversarial.parts import AdversarialObjective, Augmentation, JointObjective, Observes, Penalty, augmented
from genexp.adversarial.regularisers import Penalties, require_callable
from genexp.adversarial.steps import CriticStep, Seen, Side, View, apart, patches_averaged, together, whole
from genexp.conditioning.base import UNCONDITIONAL, Condition, ReadsConditions
from genexp.networks.discriminator import Judgement
from genexp.networks.joint import JointDiscriminator

Constraint = Callable[[nn.Module], None]
Drawn = Mapping[str, Tensor]


class Critic(nn.Module):
    """A discriminator together with what it is trained for.

    With a `JointDiscriminator` the images of all methods but `draw` are pairs (B, D), and a generator and an encoder
    have made both sides: its terms are averaged as patches are, and `generator_loss` is that of both.

    Args:
        discriminator: Maps images (B, C, H, W) and a condition to scores (B,), or (B, ...) of patches.
        objective: Losses of both players as functions of the scores.
        penalties: Regularisers added to the critic's loss, by the name they are logged under.
        constraints: Applied to the discriminator by `constrain`, after every critic step.
        concatenate: Whether real and fake images share one forward pass. That changes nothing but speed unless the
            discriminator has batch norm, where it mixes their statistics, or packs or groups, where it is refused. By
            default they share it unless it has any of these.
        augmentations: What the discriminator sees in place of real and fake images, one after the other, by name.
        auxiliary: A classifier on the features of the discriminator, or None.
        untold: Names of the model's conditions that the discriminator is not told, beside the class where there is a
            classifier: then it judges images alone, whatever they were made of.

    Raises:
        TypeError: a part cannot be called, such as settings that are left of one not chosen; the objective lacks a
            member of `AdversarialObjective`.
        ValueError: the discriminator has batch norm or packs, and there are penalties on its gradients; or it has packs
            or groups of real and fake images in one pass, or packs beside a classifier.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        objective: AdversarialObjective,
        penalties: Mapping[str, Penalty] | None = None,
        constraints: Mapping[str, Constraint] | None = None,
        concatenate: bool | None = None,
        augmentations: Mapping[str, Augmentation] | None = None,
        auxiliary: AuxiliaryClassifier | None = None,
        untold: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if isinstance(untold, str):
            raise ValueError(f"untold must be a list of names of conditions, got {untold!r}")
        if not isinstance(objective, AdversarialObjective):
            raise TypeError(
                "objective must have scope, critic(real, fake) and generator(real, fake), as "
                f"genexp.adversarial.objectives.Paired gives them, got {type(objective).__name__}"
            )
        require_callable("constraints", constraints)
        require_callable("augmentations", augmentations)
        self.discriminator = discriminator
        self.objective = objective
        self.penalties = Penalties("penalties", penalties, discriminator)
        self.constraints = dict(constraints or {})
        self.augmentations = dict(augmentations or {})
        self.adaptive = nn.ModuleDict({n: a for n, a in self.augmentations.items() if isinstance(a, nn.Module)})
        self.joint = isinstance(discriminator, JointDiscriminator)
        self.on_image = discriminator.on_image if isinstance(discriminator, JointDiscriminator) else whole
        self.auxiliary = auxiliary
        self.untold = (*untold, *(() if auxiliary is None else ("label",)))
        if self.joint:
            self._require_joint()
        if auxiliary is not None:
            self._require_no_class()
            require_single(discriminator, "beside an auxiliary classifier")
            auxiliary.follow(discriminator.feature_count)
        self.concatenate = self._joins(concatenate)

    def _require_no_class(self) -> None:
        if isinstance(self.discriminator, ReadsConditions) and "label" in self.discriminator.reads:
            raise ValueError(
                "discriminator must have num_classes=null beside an auxiliary classifier, which is to find the class, "
                "got one that is told it"
            )

    def _require_joint(self) -> None:
        if not isinstance(self.objective, JointObjective):
            given = type(self.objective).__name__
            raise TypeError(f"objective must have both(real, fake) for a joint discriminator, got {given}")
        if self.objective.scope == "batch" and len(self.discriminator.terms) > 1:
            rule = "plain or relativistic_paired for a joint discriminator of several terms, which have no common mean"
            raise ValueError(f"objective.pairing must be {rule}, got relativistic_average")
        if self.auxiliary is not None:
            rule = "null with a joint discriminator, whose features tell of the latent too"
            raise ValueError(f"auxiliary must be {rule}, got {type(self.auxiliary).__name__}")

    def _joins(self, concatenate: bool | None) -> bool:
        coupled = coupling(self.discriminator)
        of_samples = self.penalties.of_scope("sample")
        if of_samples and coupled in ("batch norm", "packs"):
            raise ValueError(
                f"discriminator must have no {coupled} under the penalties {of_samples}, which differentiate "
                f"the score of each sample alone, got {type(self.discriminator).__name__} with {coupled}"
            )
        if concatenate and coupled in ("packs", "groups"):
            raise ValueError(f"concatenate must be false or null for a discriminator with {coupled}, got true")
        return coupled is None if concatenate is None else concatenate

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Scores in float32, (B,) or (B, ...) of patches, high for images taken for real."""
        return self.discriminator(image, self.told(condition)).float()

    def draw(self, image: Tensor, images_seen: int = 0) -> dict[str, Tensor]:
        """All randomness of one step of either player, a row for each of the images (B, ...), named for a batch."""
        drawn = {"mix": torch.rand(len(image), device=image.device)}
        for name, augmentation in self.augmentations.items():
            for side in ("real", "fake"):
                drawn[f"augmentations/{name}/{side}"] = augmentation.draw(image, images_seen)
        return drawn | self.penalties.draw(image, images_seen)

    def step(self, real: Tensor, fake: Tensor, condition: Condition, drawn: Drawn) -> CriticStep:
        """What penalties look at, without the scores."""
        told, view = self.told(condition), self.view(drawn)
        return CriticStep(self.discriminator, real, fake, told, drawn["mix"], view=view, on_image=self.on_image)

    def loss(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Condition = UNCONDITIONAL,
        drawn: Drawn | None = None,
        through: bool = False,
    ) -> dict[str, Tensor]:
        """Per-sample terms of a critic step.

        Args:
            real: Images (B, C, H, W).
            fake: As many generated images, under the same condition.
            condition: What both are judged under.
            drawn: What `draw` gave for the step; drawn here when absent.
            through: Whether a gradient of this loss reaches the generator of `fake`, but for that of penalties.

        Returns:
            `loss`; the scores `real` and `fake`; `balance`, the share of pairs (real i, fake i) in the right order
            (1/2 at equilibrium, 1 when the critic wins every time); `penalty/<name>` of every penalty that is due at
            every step; `real_sign` where something follows it; `classes` and `recognised` of a classifier.
        """
        drawn = self.draw(real) if drawn is None else drawn
        step = self.step(real, fake if through else fake.detach(), condition, drawn)
        real_score, fake_score, classes = self._judged(step, condition)
        mean_real, mean_fake = patches_averaged(real_score), patches_averaged(fake_score)
        # The bare discriminator, because a compiled module has no second derivative.
        penalties = self.penalties.terms(step.scored(mean_real, mean_fake), drawn)
        loss = patches_averaged(self.objective.critic(real_score, fake_score))
        terms = {
            "loss": loss + sum(penalties.values()) + classes.get("classes", 0),
            "real": mean_real,
            "fake": mean_fake,
            "balance": (1 + torch.sign(mean_real - mean_fake)) / 2,
            **penalties,
            **classes,
        }
        return terms | ({"real_sign": torch.sign(mean_real)} if self._followed else {})

    def lazy_loss(
        self, real: Tensor, fake: Tensor, condition: Condition, drawn: Drawn, interval: int
    ) -> dict[str, Tensor]:
        """Per-sample terms of the further step for the penalties of one interval, see `Penalties`."""
        return self.penalties.lazy_terms(self.step(real, fake.detach(), condition, drawn), drawn, interval)

    def generator_loss(
        self, real: Tensor, fake: Tensor, condition: Condition = UNCONDITIONAL, drawn: Drawn | None = None
    ) -> Tensor:
        """Per-sample loss (B,) of the generator that made `fake`.

        Args:
            real: Images (B, C, H, W); looked at only by an objective that holds fakes against them.
            fake: As many generated images, under the same condition.
            condition: What both are judged under.
            drawn: What `draw` gave for the step; drawn here when absent.
        """
        drawn = self.draw(real) if drawn is None else drawn
        view = self.view(drawn)
        if self.joint:
            sides = view(real, condition, "real"), view(fake, condition, "fake")
            return patches_averaged(self.objective.both(*self._scores(*sides)))
        real_score = None
        if self.objective.scope != "sample":
            with torch.no_grad():
                real_score = self(*view(real, condition, "real"))
        if self.auxiliary is None:
            return patches_averaged(self.objective.generator(real_score, self(*view(fake, condition, "fake"))))
        judged = self.discriminator.judged(*view(fake, self.told(condition), "fake"))
        loss = patches_averaged(self.objective.generator(real_score, judged.score.float()))
        return loss + self.auxiliary.generator_loss(judged.features, condition["label"])

    def view(self, drawn: Drawn) -> View:
        """How the discriminator sees images of either side, and their conditions, in a step with these draws."""

        def seen(image: Tensor, condition: Condition, side: Side) -> tuple[Tensor, Condition]:
            for name, augmentation in self.augmentations.items():
                noise = drawn[f"augmentations/{name}/{side}"]
                image, condition = augmented(augmentation, noise, image, condition, self.on_image)
            return image, condition

        return seen

    def constrain(self) -> None:
        """Project the discriminator's weights; call it after every critic step."""
        for constraint in self.constraints.values():
            constraint(self.discriminator)

    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Let parts that follow training see the mean terms of a critic step over `images` images of all processes."""
        self.penalties.observe(means, images)
        for part in self._followed:
            part.observe(means, images)

    @property
    def _followed(self) -> list[Observes]:
        return [augmentation for augmentation in self.augmentations.values() if isinstance(augmentation, Observes)]

    def told(self, condition: Condition) -> Condition:
        """What of a condition the discriminator is told."""
        return {name: rows for name, rows in condition.items() if name not in self.untold} if self.untold else condition

    def _judged(self, step: CriticStep, condition: Condition) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Scores of both sides as they are seen, and the terms of a classifier."""
        real, fake = (step.view(step.real, condition, "real"), step.view(step.fake, condition, "fake"))
        if self.auxiliary is None:
            return *self._scores(real, fake), {}
        if self.concatenate:
            both = self.discriminator.judged(*together(real, fake, self.told))
            of_real, of_fake = (Judgement(*parts) for parts in zip(*(apart(each, real) for each in both), strict=True))
        else:
            of_real, of_fake = (self.discriminator.judged(image, self.told(seen)) for image, seen in (real, fake))
        terms = self.auxiliary.critic_terms(of_real.features, of_fake.features, condition["label"])
        return of_real.score.float(), of_fake.score.float(), terms

    def _scores(self, real: Seen, fake: Seen) -> tuple[Tensor, Tensor]:
        if not self.concatenate:
            return self(*real), self(*fake)
        return apart(self(*together(real, fake)), real)
