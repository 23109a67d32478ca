"""Guidance: a denoiser around a denoiser."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, joined
from genexp.contracts import Denoiser
from genexp.contracts.preparing import prepared
from genexp.sampling.absence import Absence, require_told
from genexp.sampling.alike import require_alike
from genexp.tensors import expand_to


class Guidance(Protocol):
    """What makes of a denoiser the one that a sampler calls; raises ValueError where the two do not fit."""

    def __call__(self, model: Denoiser) -> Denoiser: ...


class Guided:
    """What every denoiser around another has of it: shape, conditions and times."""

    def __init__(self, model: Denoiser) -> None:
        self.model = model
        self.image_shape, self.conditioning, self.schedule = model.image_shape, model.conditioning, model.schedule

    def bare(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The denoiser inside, told what it knows of a condition."""
        return self.model(x_t, t, self.model.conditioning.known(condition))


@dataclass(frozen=True)
class Unguided:
    """The denoiser itself."""

    def __call__(self, model: Denoiser) -> Denoiser:
        return model


@dataclass(frozen=True)
class ClassifierFree:
    """A conditional denoiser moved away from its own unconditional mean: D = u + scale (c - u).

    Scale 1 is the conditional denoiser and scale 0 the unconditional one, exactly and at the cost of one evaluation;
    every other scale evaluates both in one call of twice the batch. The paper's weight is w = scale - 1. Both are told
    the conditions that are not guided.

    With `rescale` f the image is D (1 - f + f std(c) / std(D)), with deviations over the values of one sample: strong
    guidance makes images too rich in contrast, and f = 1 gives them that of the conditional mean. The paper does so to
    what its network predicts, which is the clean image but for the sign where no signal is left, and else near it.

    References: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022), equation 6; Lin et al., "Common Diffusion
    Noise Schedules and Sample Steps are Flawed" (2024), equations 15 and 16, for `rescale`.

    Args:
        scale: Strength of the guidance; above 1 it trades variety for agreement with the condition.
        over: Names of the conditions that are guided; None for all that training leaves out at times.
        rescale: Share of the conditional mean's deviation that is restored, in [0, 1]; None, as 0, for nothing.
        negative: What a person wants nothing of, by name of a guided condition, such as a caption: u is told it in the
            place of nothing.

    Raises:
        ValueError: `rescale` lies outside [0, 1].
    """

    scale: float = 1.5
    over: Sequence[str] | None = None
    rescale: float | None = None  # not told in protocols where it is None, as in those from before it could be given
    negative: Mapping[str, object] | None = None
    without: str = field(init=False, repr=False, compare=False)  # for protocols, which know no mappings

    def __post_init__(self) -> None:
        if self.negative:
            object.__setattr__(self, "without", str(dict(self.negative)))
        if self.rescale is not None and not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale must lie in [0, 1], got {self.rescale}")

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: `model` has no conditions, or was not trained without those that are to be guided.
        """
        if not model.conditioning.names:
            raise ValueError(
                f"guidance must be none for a model without classes, got {self}: "
                "model.num_classes=${data.num_classes} gives it classes"
            )
        guided = model.conditioning.optional if self.over is None else tuple(self.over)
        absence = Absence(model.conditioning, guided, self.negative)
        return _ClassifierFree(model, self.scale, guided, absence, self.rescale or 0.0)


class _ClassifierFree(Guided):
    def __init__(self, model: Denoiser, scale: float, over: Sequence[str], absence: Absence, rescale: float) -> None:
        super().__init__(model)
        self.scale, self.over, self.absence, self.rescale = scale, over, absence, rescale

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and a condition.

        Raises:
            ValueError: what is guided is not told, at a scale other than 0.
        """
        if self.scale == 0:
            return self.model(x_t, t, self.absence.untold(condition, self.over, x_t))
        require_told(condition, self.over, f"scale {self.scale}")
        if self.scale == 1:
            return self.model(x_t, t, condition)
        told = joined(condition, self.absence.of(condition, self.over))
        both = self.model(torch.cat([x_t, x_t]), torch.cat([t, t]), told)
        num = x_t.shape[0]  # no len() and no chunk(), which would fix the batch of a graph that is traced
        conditional, unconditional = both[:num], both[num:]
        guided = unconditional + self.scale * (conditional - unconditional)
        return guided if self.rescale == 0 else guided * expand_to(self._factor(guided, conditional), guided)

    def _factor(self, guided: Tensor, conditional: Tensor) -> Tensor:
        """What every sample (B,) is multiplied by; 1 for one that has no deviation to be changed."""
        ours, theirs = (image.flatten(1).std(1, correction=0) for image in (guided, conditional))
        return 1 + self.rescale * torch.where(ours > 0, theirs / ours - 1, 0)


@dataclass(frozen=True)
class Autoguidance:
    """A denoiser moved away from a worse one of the same images: D = g + scale (m - g).

    The guide is smaller or trained for less long, so that it errs alike and more; it is told the same. Scale 1 is
    the model itself, exactly and without evaluating the guide.

    Reference: Karras et al., "Guiding a Diffusion Model with a Bad Version of Itself" (2024), equation 5.

    Args:
        guide: The worse denoiser.
        scale: Strength of the guidance.
    """

    guide: Denoiser
    scale: float = 2.0

    @property
    def others(self) -> tuple[Denoiser]:
        """The guide."""
        return (self.guide,)

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: shape, conditions or noise levels of the guide are others.
        """
        require_alike(self.guide, model, "guide")
        return _Autoguided(model, prepared(self.guide), self.scale)


class _Autoguided(Guided):
    def __init__(self, model: Denoiser, guide: Denoiser, scale: float) -> None:
        super().__init__(model)
        self.guide, self.scale = guide, scale

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and a condition."""
        better = self.model(x_t, t, condition)
        if self.scale == 1:
            return better
        worse = self.guide(x_t, t, condition)
        return worse + self.scale * (better - worse)


@runtime_checkable
class Scaled(Protocol):
    """A guidance that has a strength, among the fields of a dataclass."""

    scale: float


@dataclass(frozen=True)
class Interval:
    """Guidance at noise levels low < sigma / alpha <= high alone; elsewhere the denoiser itself, at its cost.

    Reference: Kynkäänniemi et al., "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in
    Diffusion Models" (2024), equation 6.

    Args:
        inside: The guidance within the interval.
        low: Noise level, at least 0.
        high: Noise level, above `low`; None for all higher ones.
        scale: Strength of the guidance within the interval; None for its own.

    Raises:
        ValueError: the levels are not such, or the guidance inside has no strength.
    """

    inside: Guidance = ClassifierFree()
    low: float = 0.2
    high: float | None = 2.0
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.low < 0:
            raise ValueError(f"low must be at least 0, got {self.low}")
        if self.high is not None and not self.high > self.low:
            raise ValueError(f"high must be above low, {self.low:g}, got {self.high}")
        if self.scale is not None and not isinstance(self.inside, Scaled):
            raise ValueError(
                f"scale must be null around {type(self.inside).__name__}, which has none, got {self.scale}"
            )

    def __call__(self, model: Denoiser) -> Denoiser:
        """The denoiser that is guided within the interval; what the guidance refuses is refused."""
        inside = self.inside
        if self.scale is not None and isinstance(inside, Scaled):
            inside = replace(inside, scale=self.scale)
        return _Interval(model, inside(model), self.low, math.inf if self.high is None else self.high)


class _Interval(Guided):
    def __init__(self, model: Denoiser, guided: Denoiser, low: float, high: float) -> None:
        super().__init__(model)
        self.guided, self.low, self.high, self.conditioning = guided, low, high, guided.conditioning

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Clean images (B, *image_shape) from noisy ones, times (B,) and a condition."""
        alpha, sigma = self.schedule(t)
        inside = (sigma > self.low * alpha) & (sigma <= self.high * alpha if math.isfinite(self.high) else sigma > 0)
        if not bool(inside.any()):
            return self.bare(x_t, t, condition)
        guided = self.guided(x_t, t, condition)
        if bool(inside.all()):
            return guided
        return torch.where(expand_to(inside, x_t), guided, self.bare(x_t, t, condition))
