"""Guidance by how well predicted images fit a caption, as a model of images and captions says."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.conditioning.kinds import Words
from genexp.contracts import Denoiser
from genexp.sampling.guidance import Guided, require_images
from genexp.sampling.levels import reach_of_slope


class Judge(Protocol):
    """What says how well images fit captions, of which one condition is the form."""

    image_shape: tuple[int, ...]
    conditioning: Conditioning

    def fit(self, image: Tensor, caption: Tensor) -> Tensor:
        """Scaled cosines (B,) of images (B, *image_shape), each with its caption (B, L), which gradients reach."""
        ...


@dataclass(frozen=True)
class ClipGuidance:
    """A denoiser moved up the slope of the fit of its image to a caption: D = m + scale (sigma^2 / alpha) grad S(m).

    The slope is that of the noisy image, through the denoiser, and S the scaled cosine of the vectors of m and of the
    caption, so that clean images without noise are enough to train what judges. That adds scale grad S(m) to the score:
    images of p(x) exp(scale S(x)), with S at the mean in place of the mean of S. A denoiser without captions is told
    none, one that knows the same captions is told them as well. Scale 0 is the denoiser itself, exactly and without the
    judge; where no signal is left nothing is added.

    References: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), for S;
    Nichol et al., "GLIDE" (2022), section 2.3, whose judge has seen noisy images; Bansal et al., "Universal Guidance
    for Diffusion Models" (2023), forward guidance, for clean ones.

    Args:
        judge: Of images and captions.
        scale: Strength of the guidance, at least 0.

    Raises:
        ValueError: `scale` is below 0.
    """

    judge: Judge
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale >= 0:
            raise ValueError(f"scale must be at least 0, got {self.scale}")

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: shape or captions of the judge are others, or the model is of codes.
        """
        require_images(model, "captions", "judge", self.judge.image_shape)
        (name, kind) = next(iter(self.judge.conditioning.kinds.items()))
        own = model.conditioning.kinds.get(name, kind)
        same_words = isinstance(own, Words) and isinstance(kind, Words) and own.numbering == kind.numbering
        if own != kind and not same_words:
            raise ValueError(f"judge must read the model's {name}, got one of other words")
        return _ClipGuided(model, self.judge, self.scale, name)


class _ClipGuided(Guided):
    def __init__(self, model: Denoiser, judge: Judge, scale: float, name: str) -> None:
        super().__init__(model)
        self.judge, self.scale, self.name = judge, scale, name
        self.conditioning = Conditioning(
            {**judge.conditioning.kinds, **model.conditioning.kinds}, model.conditioning.own
        )

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and a condition with a caption (B, L).

        Raises:
            ValueError: no caption is told, at a scale other than 0.
        """
        if self.scale == 0:
            return self.bare(x_t, t, condition)
        if self.name not in condition:
            raise ValueError(f"{self.name} must be given for guidance of scale {self.scale:g} by it, got none")
        with torch.enable_grad():
            noisy = x_t.detach().requires_grad_()
            x_0 = self.bare(noisy, t, condition)
            (slope,) = torch.autograd.grad(self.judge.fit(x_0, condition[self.name]).sum(), noisy)
        return x_0.detach() + self.scale * reach_of_slope(self.schedule, t, x_0) * slope
