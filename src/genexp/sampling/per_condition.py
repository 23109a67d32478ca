"""Guidance with a strength for every condition."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, joined
from genexp.contracts import Denoiser
from genexp.sampling.absence import Absence, require_told
from genexp.sampling.guidance import Guided


@dataclass(frozen=True)
class PerCondition:
    """Several conditions, each with a strength of its own: D = e_0 + s_1 (e_1 - e_0) + ... + s_K (e_K - e_(K-1)).

    e_i is the denoiser told the first i of `scales`, in their order, and whatever is not among them: a condition is
    guided given those before it. All at 1 are the conditional denoiser and all at 0 the one that is told none of them,
    exactly; equal ones are `ClassifierFree` over all. Only what has a share in D is evaluated, in one call of at most
    1 + K times the batch.

    Reference: Brooks et al., "InstructPix2Pix: Learning to Follow Image Editing Instructions" (2023), equation 3, for
    two conditions. The sum of Liu et al., "Compositional Visual Generation with Composable Diffusion Models" (2022),
    in which every condition is told alone, has no strengths that give the conditional denoiser, and is not this.

    Args:
        scales: Strength of every guided condition, by its name.
        negative: What a person wants nothing of, by name of a guided condition: it is told where that is left out.

    Raises:
        ValueError: `scales` is empty.
    """

    scales: Mapping[str, float]
    negative: Mapping[str, object] | None = None
    told: str = field(init=False, repr=False, compare=False)  # for protocols, which know no mappings

    def __post_init__(self) -> None:
        if not self.scales:
            raise ValueError("scales must hold the strength of at least one condition, got none")
        negative = f", without {dict(self.negative)}" if self.negative else ""
        object.__setattr__(self, "told", f"{ {name: float(scale) for name, scale in self.scales.items()} }{negative}")

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: `model` has no such conditions or was not trained without them, or a negative is none of them.
        """
        unknown = [name for name in self.scales if name not in model.conditioning.names]
        if unknown:
            raise ValueError(f"scales must be of conditions of a model of {model.conditioning}, got {unknown[0]}")
        absence = Absence(model.conditioning, tuple(self.scales), self.negative)
        return _PerCondition(model, {name: float(scale) for name, scale in self.scales.items()}, absence)


class _PerCondition(Guided):
    def __init__(self, model: Denoiser, scales: Mapping[str, float], absence: Absence) -> None:
        super().__init__(model)
        self.names, self.absence = tuple(scales), absence
        above = [1.0, *scales.values()]
        below = [*scales.values(), 0.0]
        self.shares = {place: s - t for place, (s, t) in enumerate(zip(above, below, strict=True)) if s != t}

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and a condition.

        Raises:
            ValueError: a condition is not told that has a share.
        """
        places = list(self.shares)
        if places == [0]:
            return self.model(x_t, t, self.absence.untold(condition, self.names, x_t))
        require_told(condition, self.names, "several strengths")
        if places == [len(self.names)]:
            return self.model(x_t, t, condition)
        told = [self.absence.of(condition, self.names[place:]) for place in places]
        every = self.model(torch.cat([x_t] * len(told)), torch.cat([t] * len(told)), joined(*told))
        num = x_t.shape[0]  # see `_ClassifierFree`
        each = [every[place * num : (place + 1) * num] for place in range(len(told))]
        return sum(self.shares[place] * image for place, image in zip(places, each, strict=True))
