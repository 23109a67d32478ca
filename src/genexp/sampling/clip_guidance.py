"""Guidance by how well predicted images fit a caption, as a model of images and captions says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.conditioning.kinds import Words
from genexp.contracts import Denoiser
from genexp.contracts.codecs import codec_of
from genexp.sampling.guidance import Guided
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

    Codes are decoded, and the slope is taken through the decoder too. Images whose sides are a multiple of the judge's
    are shown to it with the means of so many pixels.

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

    @property
    def others(self) -> tuple[Judge]:
        """The judge."""
        return (self.judge,)

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: shape or captions of the judge are others.
        """
        codec = codec_of(model)
        pixels = _pixels(self.judge.image_shape, model.image_shape if codec is None else codec.image_shape)
        (name, kind) = next(iter(self.judge.conditioning.kinds.items()))
        own = model.conditioning.kinds.get(name, kind)
        same_words = isinstance(own, Words) and isinstance(kind, Words) and own.numbering == kind.numbering
        if own != kind and not same_words:
            raise ValueError(f"judge must read the model's {name}, got one of other words")
        return _ClipGuided(model, self, name, pixels)


def _pixels(judged: Sequence[int], shape: Sequence[int]) -> int:
    """How many pixels of an image (C, H, W) beside each other one of the judge's is the mean of.

    Raises:
        ValueError: the judge's images are of another shape and no whole part of it.
    """
    if tuple(judged) == tuple(shape):
        return 1
    pixels = shape[-1] // judged[-1]
    if len(shape) != 3 or tuple(shape) != (judged[0], *(pixels * side for side in judged[1:])):
        raise ValueError(
            f"judge must be of images of shape {tuple(shape)}, or of that with a whole part of the sides, got "
            f"{tuple(judged)}"
        )
    return pixels


class _ClipGuided(Guided):
    def __init__(self, model: Denoiser, guidance: ClipGuidance, name: str, pixels: int) -> None:
        super().__init__(model)
        self.judge, self.scale, self.name = guidance.judge, guidance.scale, name
        self.codec, self.pixels = codec_of(model), pixels
        self.conditioning = Conditioning(
            {**self.judge.conditioning.kinds, **model.conditioning.kinds}, model.conditioning.own
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
            (slope,) = torch.autograd.grad(self.judge.fit(self._seen(x_0), condition[self.name]).sum(), noisy)
        return x_0.detach() + self.scale * reach_of_slope(self.schedule, t, x_0) * slope

    def _seen(self, x_0: Tensor) -> Tensor:
        """Images as the judge sees them, of clean images or codes."""
        image = x_0 if self.codec is None else self.codec.decode(x_0)
        return image if self.pixels == 1 else F.avg_pool2d(image, self.pixels)
