"""Diffusion models: a network that denoises images at every noise level."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Conditioning, ConditionKind
from genexp.contracts import Batch, Codec, Schedule
from genexp.diffusion.coupling import Coupling, Independent
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.latent import CodeDenoiser, require_codec
from genexp.diffusion.objective import Objective, WeightedError
from genexp.diffusion.prediction import Prediction
from genexp.diffusion.time_sampling import TimeSampling, Uniform
from genexp.diffusion.weighting import Weighting
from genexp.families.base import Family, Terms, Update
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

    Raises:
        ValueError: `label_dropout` lies outside [0, 1), or prediction, time sampling and schedule do not fit,
            or the codec is of other images.
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
    ) -> None:
        super().__init__()
        if not 0 <= label_dropout < 1:
            raise ValueError(f"label_dropout must lie in [0, 1), got {label_dropout}")
        self.network = network
        self.conditioning = Conditioning.of(num_classes, conditions, label_dropout)
        if codec is not None:
            require_codec(codec, tuple(image_shape))
        self.codec, shape = codec, image_shape if codec is None else codec.code_shape
        parts = (network, schedule, prediction, weighting, shape, self.conditioning)
        self.denoiser = NetworkDenoiser(*parts, variance, objective, None if codec is not None else levels)
        self.of_codes = None if codec is None else CodeDenoiser(self.denoiser, codec)
        self.time_sampling, self.coupling = time_sampling, coupling
        time_sampling.begin(schedule)
        self.register_update("network", Update(optimizer, lambda: list(self.network.parameters()), learning_rate, clip))

    def source(self) -> NetworkDenoiser | CodeDenoiser:
        """The denoiser, of images or of codes."""
        return self.denoiser if self.of_codes is None else self.of_codes

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the loss at one random time an image."""
        image, condition = self._coded(batch["image"]), self.conditioning.told(batch)
        place = torch.rand(len(image), device=image.device)
        t, weight = self.time_sampling.draw(place, self.denoiser.schedule)
        drawn = {"image": image, "noise": self.coupling(image, torch.randn_like(image), condition), "time": t}
        if weight is not None:
            drawn["weight"] = weight
        drawn |= self.conditioning.sparing(condition)
        losses: list[Tensor] = []
        terms = self.update("network", drawn, lambda part: {"loss": self._weighted(part, losses)})
        if self.time_sampling.learns:
            self._learn(t, torch.cat(losses)[-len(t) :])
        return {"train/loss": terms["loss"]}

    def validate_batch(self, batch: Batch) -> Terms:
        """The loss at one random time in each quarter of the schedule, and its mean; nothing is left out."""
        image, condition = self._coded(batch["image"]), self.conditioning.told(batch)
        terms = {}
        for quarter in range(QUARTERS):
            place = (quarter + torch.rand(len(image), device=image.device)) / QUARTERS
            drawn = {
                "image": image,
                "noise": self.coupling(image, torch.randn_like(image), condition),
                "time": self.time_sampling.times(place, self.denoiser.schedule),
                **condition,
            }
            terms[f"val/loss_quarter{quarter + 1}"] = self._loss(drawn).mean()
        return {"val/loss": torch.stack(list(terms.values())).mean(), **terms}

    def _coded(self, image: Tensor) -> Tensor:
        return image if self.codec is None else self.codec.encode(image)

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
        return self.denoiser.loss(part["image"], part["time"], part["noise"], self.conditioning.told(part))
