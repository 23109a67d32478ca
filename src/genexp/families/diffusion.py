"""Diffusion models: a network that denoises images at every noise level."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition, Conditioning, ConditionKind, OwnKnowledge
from genexp.conditioning.estimate import ESTIMATE
from genexp.contracts import Batch, Schedule
from genexp.contracts.codecs import Codec
from genexp.diffusion.augmentation import AUGMENTATION, GeometricAugment
from genexp.diffusion.code_denoiser import CodeDenoiser, require_codec
from genexp.diffusion.coupling import Coupling, Independent
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.goal import Goal
from genexp.diffusion.objective import Objective, WeightedError
from genexp.diffusion.pairs import Pairs
from genexp.diffusion.prediction import Prediction
from genexp.diffusion.self_conditioning import SelfConditioning
from genexp.diffusion.time_sampling import TimeSampling, Uniform
from genexp.diffusion.weighting import Weighting
from genexp.families.base import Family, Terms, Update
from genexp.files.trees import State
from genexp.ramps import Constant, Ramp

QUARTERS = 4


class Diffusion(Family):
    """Train a denoiser on one random time an image; conditions are left out at random for classifier-free guidance.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020); Ho and Salimans, "Classifier-Free Diffusion
    Guidance" (2022) for the conditions.

    Args:
        network: Module of noisy images (B, C, H, W), times (B,) and a condition.
        schedule: Signal and noise levels.
        prediction: What the network predicts.
        weighting: Weight of the squared error of the clean image.
        optimizer: Builds the optimiser from the network's parameters.
        image_shape: Shape of one image (C, H, W).
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm of the loss averaged over pixels, or None.
        num_classes: Number of classes, or None for an unconditional model.
        label_dropout: Share of training labels that are left out, in [0, 1).
        time_sampling: At which times it is trained.
        coupling: Which noise of a batch belongs to which of its images.
        objective: What is trained to be small.
        variance: Of the steps back, `fixed_small`, `fixed_large` or `learned_range`.
        levels: Values that a pixel may have, for the likelihood; points have real values.
        conditions: What else the network is told, by name.
        codec: Between images and the codes that are denoised in their place, or None.
        goal: What the network is taught to say in the place of the clean image, at times of its own; or None.
        self_conditioning: How the network is told its own last answer, or None.
        pairs: Noise and images that belong together, which are trained on in the place of the data; or None.
        augmentation: Changes of training images that the network is told of, or None.

    Raises:
        ValueError: `label_dropout` lies outside [0, 1), or prediction, time sampling and schedule do not fit,
            or the codec is of other images, or estimates of points or codes would be clipped, or something stays
            where it is beside images that an augmentation moves.
    """

    averaged_modules = ("network",)

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        prediction: Prediction,
        weighting: Weighting,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        image_shape: Sequence[int],
        learning_rate: Ramp = Constant(),
        clip: float | None = 1.0,
        num_classes: int | None = None,
        label_dropout: float = 0.1,
        time_sampling: TimeSampling = Uniform(),
        coupling: Coupling = Independent(),
        objective: Objective = WeightedError(),
        variance: str = "fixed_small",
        levels: int | None = 256,
        conditions: Mapping[str, ConditionKind] | None = None,
        codec: Codec | None = None,
        goal: Goal | None = None,
        self_conditioning: SelfConditioning | None = None,
        pairs: Pairs | None = None,
        augmentation: GeometricAugment | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_dropout < 1:
            raise ValueError(f"label_dropout must lie in [0, 1), got {label_dropout}")
        self.network = network
        if codec is not None:
            require_codec(codec, tuple(image_shape))
        self.codec, shape = codec, image_shape if codec is None else codec.code_shape
        bounded, self.self_conditioning = codec is None and len(shape) > 1, self_conditioning
        own: dict[str, OwnKnowledge] = {}
        if self_conditioning is not None:
            own[ESTIMATE] = self_conditioning.kind(shape, bounded)
        if augmentation is not None:
            own[AUGMENTATION] = augmentation.kind(shape, conditions or {}, {"codec": codec, "pairs": pairs})
        self.augmentation = augmentation
        self.conditioning = Conditioning.of(num_classes, conditions, label_dropout, own)
        parts = (network, schedule, prediction, weighting, shape, self.conditioning)
        self.denoiser = NetworkDenoiser(*parts, variance, objective, None if codec is not None else levels)
        self.of_codes = None if codec is None else CodeDenoiser(self.denoiser, codec)
        if objective.bounds and not (isinstance(coupling, Independent) and pairs is None):
            raise ValueError(
                f"coupling must be independent with {type(objective).__name__}, whose bound takes noise for drawn "
                f"without looking at the image, got {type(coupling if pairs is None else pairs).__name__}"
            )
        self.time_sampling, self.coupling, self.pairs = time_sampling, coupling, pairs
        if pairs is not None:
            self._require_pairs(pairs)
        time_sampling.begin(schedule)
        self.goal = goal
        if goal is not None:
            self._begin(goal)
        self.register_update("network", Update(optimizer, lambda: list(self.network.parameters()), learning_rate, clip))

    def source(self) -> NetworkDenoiser | CodeDenoiser:
        """The denoiser, of images or of codes."""
        return self.denoiser if self.of_codes is None else self.of_codes

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the loss at one random time an image."""
        own = {}
        if self.augmentation is not None:
            image, own[AUGMENTATION] = self.augmentation(batch["image"])
            batch = {**batch, "image": image}
        image, condition = self._coded(batch), self.conditioning.told(batch, anew=True)
        place = torch.rand(len(image), device=image.device)
        image, noise, condition = self._paired(image, condition)
        drawn = {"image": image, "noise": noise} | self._times(place)
        drawn |= self.conditioning.sparing(condition) | own
        if self.self_conditioning is not None:
            drawn["reads"] = self.self_conditioning.chosen(len(image), image.device)
        losses: list[Tensor] = []
        terms = self.update("network", drawn, lambda part: {"loss": self._weighted(part, losses)})
        if self.time_sampling.learns:
            self._learn(drawn["time"], torch.cat(losses)[-len(image) :])
        if self.goal is not None:
            self.goal.follow(self.denoiser, len(image) * self.trainer.world_size)
        return {"train/loss": terms["loss"]}

    def validate_batch(self, batch: Batch) -> Terms:
        """The loss at one random time in each quarter of the schedule, and its mean; nothing is left out."""
        image, condition = self._coded(batch), self.conditioning.told(batch)
        terms = {}
        for quarter in range(QUARTERS):
            place = (quarter + torch.rand(len(image), device=image.device)) / QUARTERS
            shown, noise, told = self._paired(image, condition, held_out=True)
            drawn = {"image": shown, "noise": noise, **self._times(place, held_out=True), **told}
            if self.self_conditioning is not None:
                drawn["reads"] = torch.ones(len(image), dtype=torch.bool, device=image.device)
            terms[f"val/loss_quarter{quarter + 1}"] = self._loss(drawn).mean()
        return {"val/loss": torch.stack(list(terms.values())).mean(), **terms}

    def _paired(self, image: Tensor, condition: Condition, held_out: bool = False) -> tuple[Tensor, Tensor, Condition]:
        """Images or codes, the noise that belongs to each, and what is told; or as many pairs in their place."""
        if self.pairs is None:
            return image, self.coupling(image, torch.randn_like(image), condition), condition
        return self.pairs(torch.rand(len(image), device=image.device), held_out, image.device)

    def _require_pairs(self, pairs: Pairs) -> None:
        """Refuse pairs of something else, and a coupling beside them."""
        if not isinstance(self.coupling, Independent):
            kind = type(self.coupling).__name__
            raise ValueError(f"coupling must be independent with pairs, which belong together already, got {kind}")
        if pairs.codec != self.codec:
            raise ValueError("pairs must be of what the model is of: of images, or of codes by the same codec")
        pairs.require(self.denoiser)

    def _begin(self, goal: Goal) -> None:
        """Let a goal begin.

        Raises:
            ValueError: something else says at which times it is trained, or its teacher is of other codes.
        """
        if self.self_conditioning is not None:
            raise ValueError(
                "self_conditioning must be null with a goal, which asks networks for answers out of nothing"
            )
        if not isinstance(self.time_sampling, Uniform):
            kind = type(self.time_sampling).__name__
            raise ValueError(f"time_sampling must be uniform with a goal, which has times of its own, got {kind}")
        if goal.teacher is not None and goal.teacher.codec != self.codec:
            raise ValueError(
                "goal must have a teacher of what the student is of: of images, or of codes by the same codec"
            )
        goal.begin(self.denoiser)

    def on_load_checkpoint(self, checkpoint: State) -> None:
        """Restore the counters; what a goal has kept is left out where the model is drawn from without it."""
        super().on_load_checkpoint(checkpoint)
        if self.goal is None:
            for name in [name for name in checkpoint["state_dict"] if name.startswith("goal.")]:
                del checkpoint["state_dict"][name]

    def _times(self, place: Tensor, held_out: bool = False) -> dict[str, Tensor]:
        """What a batch is trained at (B,): `time`, perhaps `weight`, and with a goal `earlier`."""
        schedule = self.denoiser.schedule
        if self.goal is None and held_out:
            return {"time": self.time_sampling.times(place, schedule)}
        if self.goal is None:
            t, weight = self.time_sampling.draw(place, schedule)
            return {"time": t} if weight is None else {"time": t, "weight": weight}
        t, s = self.goal.times(place, schedule, self.images_seen)
        weight = None if held_out else self.goal.weight(t, s, schedule)
        return {"time": t, "earlier": s} | ({} if weight is None else {"weight": weight})

    def _coded(self, batch: Batch) -> Tensor:
        """What is denoised: images, or their codes, known or not, in one order in memory, which noise is drawn in."""
        if self.codec is None:
            return batch["image"]
        return (batch["code"] if "code" in batch else self.codec.encode(batch["image"])).contiguous()

    def _weighted(self, part: Batch, losses: list[Tensor]) -> Tensor:
        """The mean loss, multiplied as the time sampling wants; the losses themselves are added to `losses`."""
        loss = self._loss(part)
        losses.append(loss.detach())
        return (loss * part["weight"] if "weight" in part else loss).mean()

    def _learn(self, t: Tensor, loss: Tensor) -> None:
        """Show the time sampling the losses (B,) of all ranks, in the same order on each."""
        if self.trainer.world_size > 1:
            t, loss = self.all_gather(t).flatten(), self.all_gather(loss).flatten()
        self.time_sampling.learn(t, loss)

    def _loss(self, part: Batch) -> Tensor:
        told = self.conditioning.told(part)
        if AUGMENTATION in part:
            told = {**told, AUGMENTATION: part[AUGMENTATION]}
        goal = None if self.goal is None else partial(self._taught, part, told)
        return self.denoiser.loss(part["image"], part["time"], part["noise"], told, goal, part.get("reads"))

    def _taught(self, part: Batch, told: Condition, x_t: Tensor) -> Tensor:
        """The goal of noisy images."""
        x, noise, t, s = (part[name] for name in ("image", "noise", "time", "earlier"))
        return self.goal(self.denoiser, x_t, t, s, x, noise, told)
