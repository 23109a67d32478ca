"""Guidance: a denoiser around a denoiser."""

import torch
from torch import Tensor

from genexp.contracts import Denoiser


class ClassifierFreeGuidance:
    """A conditional denoiser moved away from its own unconditional mean: D = u + scale (c - u).

    Scale 1 is the conditional denoiser and scale 0 the unconditional one, exactly and at the cost of one evaluation;
    every other scale evaluates both in one call of twice the batch. The paper's weight is w = scale - 1.

    Reference: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022).

    Args:
        model: A denoiser with classes, trained with some labels left out.
        scale: Strength of the guidance; above 1 it trades variety for agreement with the label.

    Raises:
        ValueError: `model` has no classes.
    """

    def __init__(self, model: Denoiser, scale: float) -> None:
        if model.num_classes is None:
            raise ValueError(f"guidance must be 1 for a denoiser without classes, got {scale}")
        self.model, self.scale = model, scale
        self.image_shape, self.num_classes, self.schedule = model.image_shape, model.num_classes, model.schedule

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and classes (B,).

        Raises:
            ValueError: `label` is None at a scale other than 0.
        """
        if self.scale == 0:
            return self.model(x_t, t)
        if label is None:
            raise ValueError(f"label must be given for guidance {self.scale}, got None")
        if self.scale == 1:
            return self.model(x_t, t, label)
        null = torch.full_like(label, self.num_classes)
        both = self.model(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([label, null]))
        conditional, unconditional = both.chunk(2)
        return unconditional + self.scale * (conditional - unconditional)
