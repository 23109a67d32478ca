"""Guidance by a classifier that was trained on noisy images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.conditioning.kinds import Classes
from genexp.contracts import Denoiser
from genexp.contracts.codecs import codec_of
from genexp.diffusion.noising import GuidingClassifier
from genexp.diffusion.schedules import same_levels
from genexp.sampling.guidance import Guided
from genexp.sampling.levels import reach_of_slope


@dataclass(frozen=True)
class ClassifierGuidance:
    """A denoiser moved up the slope of a class's probability: D = m + scale (sigma^2 / alpha) grad log p(y | x_t).

    That adds scale grad log p(y | x_t) to the score. With scale 1, a denoiser without classes and an exact classifier
    it is the denoiser of the class. Of a denoiser that knows classes both are told the same one. Scale 0 is the
    denoiser itself, without evaluating the classifier; where no signal is left there is no slope, and nothing is added.

    Reference: Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), section 4.2, equation 14 and
    algorithm 2. Algorithm 1, for ancestral sampling, moves the mean of a step by its variance times that slope, which
    this does up to the factor alpha_s / alpha_t with the variance `fixed_large`.

    Args:
        classifier: Of noisy images.
        scale: Strength of the guidance, at least 0.

    Raises:
        ValueError: `scale` is below 0.
    """

    classifier: GuidingClassifier
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale >= 0:
            raise ValueError(f"scale must be at least 0, got {self.scale}")

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: shape, classes or noise levels of the classifier are others, or the model is of codes.
        """
        if codec_of(model) is not None:
            raise ValueError("guidance must not be by a classifier of images for a model of codes")
        ours, theirs = tuple(model.image_shape), tuple(self.classifier.image_shape)
        if ours != theirs:
            raise ValueError(f"classifier must be of images of shape {ours}, got {theirs}")
        if model.conditioning.num_classes not in (None, self.classifier.num_classes):
            ours = model.conditioning.num_classes
            raise ValueError(f"classifier must have the model's {ours} classes, got {self.classifier.num_classes}")
        if not same_levels(model.schedule, self.classifier.schedule):
            raise ValueError("classifier must have the noise levels of the model's schedule, got others")
        return _ClassifierGuided(model, self.classifier, self.scale)


class _ClassifierGuided(Guided):
    def __init__(self, model: Denoiser, classifier: GuidingClassifier, scale: float) -> None:
        super().__init__(model)
        self.classifier, self.scale = classifier, scale
        self.conditioning = Conditioning(
            {"label": Classes(classifier.num_classes), **model.conditioning.kinds}, model.conditioning.own
        )

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and a condition with a `label` (B,).

        Raises:
            ValueError: no class is told, at a scale other than 0.
        """
        x_0 = self.bare(x_t, t, condition)
        if self.scale == 0:
            return x_0
        if "label" not in condition:
            raise ValueError(f"label must be given for classifier guidance of scale {self.scale:g}, got none")
        return x_0 + self.scale * reach_of_slope(self.schedule, t, x_0) * self._slope(x_t, t, condition["label"])

    @torch.enable_grad()
    def _slope(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        x_t = x_t.detach().requires_grad_()
        chosen = self.classifier.logits(x_t, t).log_softmax(1).gather(1, label[:, None]).sum()
        return torch.autograd.grad(chosen, x_t)[0]
