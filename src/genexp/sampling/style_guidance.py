"""Guidance by a style: drawn images are drawn towards the feature statistics of a picture."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Denoiser
from genexp.contracts.codecs import codec_of
from genexp.data.own_pictures import own_pictures
from genexp.losses.style import StyleLoss
from genexp.on_disk import OnDisk
from genexp.sampling.guidance import Guided
from genexp.sampling.levels import reach_of_slope

_DIGITS = 8


class TowardsStyle:
    """A denoiser moved down the slope of a style loss of its own image: D = m - scale (sigma^2 / alpha) grad E(m).

    The slope is that of the noisy image, through the denoiser: it is m's own covariance given x_t that turns the slope
    of the clean image into one that images of the model can follow, so nothing is added where the model is sure. That
    is the conditional mean of p(x) exp(-scale E(x)), with E at the mean in place of the mean of E. The energy E is the
    number of an image's values times its style distance, the mean over layers of the style loss in units of that of an
    image without features: 1 at most as a rule, and 0 for the style's own description.

    Reference: Chung et al., "Diffusion Posterior Sampling for General Noisy Inverse Problems" (2023), equation 11, and
    Bansal et al., "Universal Guidance for Diffusion Models" (2023), forward guidance with a style loss; both have a
    strength of a step in place of sigma^2 / alpha, with which the score is that of the density above.

    Args:
        features: Frozen encoder: (images, layers) to feature maps by layer.
        style_loss: The style loss of one layer.
        layers: Layers that are compared.
        style: The style image (1, 3, h, w) in [-1, 1].
        scale: Strength, at least 0; 0 is the model itself.

    Raises:
        ValueError: `scale` is below 0, or there are no layers.
    """

    def __init__(
        self, features: nn.Module, style_loss: StyleLoss, layers: Sequence[str], style: Tensor, scale: float
    ) -> None:
        if not scale >= 0:
            raise ValueError(f"scale must be at least 0, got {scale}")
        if not layers:
            raise ValueError("layers must name at least one layer, got none")
        self.features, self.style_loss, self.layers, self.style, self.scale = features, style_loss, layers, style, scale

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser.

        Raises:
            ValueError: the model is of codes, or of no pictures of 1 or 3 channels.
        """
        if codec_of(model) is not None:
            raise ValueError("guidance must not be by the style of images for a model of codes")
        if len(model.image_shape) != 3 or model.image_shape[0] not in (1, 3):
            raise ValueError(f"guidance by a style needs images of 1 or 3 channels, got {tuple(model.image_shape)}")
        return _TowardsStyle(model, self)

    def distance(self, image: Tensor) -> Tensor:
        """How far images (B, 1 or 3, H, W) are from the style, (B,): 0 for its own description."""
        features = self.features.to(image.device)
        found = features(image.expand(-1, 3, -1, -1), self.layers)
        with torch.no_grad():
            wanted = features(self.style.to(image.device), self.layers)
        targets = {layer: self.style_loss.describe(maps) for layer, maps in wanted.items()}
        parts = []
        for layer, target in targets.items():
            whole = self.style_loss(torch.zeros_like(wanted[layer]), target).clamp(min=1e-12)
            parts.append(self.style_loss(found[layer], target) / whole)
        return torch.stack(parts).mean(0)


class _TowardsStyle(Guided):
    def __init__(self, model: Denoiser, towards: TowardsStyle) -> None:
        super().__init__(model)
        self.towards = towards

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Guided clean images (B, *image_shape) from noisy ones, times (B,) and a condition."""
        if self.towards.scale == 0:
            return self.bare(x_t, t, condition)
        with torch.enable_grad():
            noisy = x_t.detach().requires_grad_()
            x_0 = self.bare(noisy, t, condition)
            energy = x_0[0].numel() * self.towards.distance(x_0).sum()
            (slope,) = torch.autograd.grad(energy, noisy)
        return x_0.detach() - self.towards.scale * reach_of_slope(self.schedule, t, x_0) * slope


@dataclass(eq=False)
class StyleGuidance:
    """`TowardsStyle` of a picture file.

    Args:
        features: Frozen encoder.
        style_loss: The style loss of one layer.
        layers: Layers that are compared.
        style: The style picture; its largest central square is read. Afterwards its name, beside `digest`.
        style_size: Pixels a side at which it is read.
        scale: Strength, at least 0.

    Raises:
        FileNotFoundError: there is no such picture.
        BadImage: it cannot be read.
        ValueError: an argument is out of range.
    """

    features: nn.Module
    style_loss: StyleLoss
    layers: Sequence[str]
    style: Annotated[str, OnDisk("file")]
    style_size: int = 64
    scale: float = 0.1

    def __post_init__(self) -> None:
        path = Path(self.style).expanduser()
        image = own_pictures(self.style, self.style_size, 3, most=1, key="style").images
        self._towards = TowardsStyle(self.features, self.style_loss, self.layers, image, self.scale)
        self.style, self.digest = path.name, hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS]
        self.encoder, self.compared = self.features.digest[:_DIGITS], " ".join(self.layers)  # for protocols

    def __call__(self, model: Denoiser) -> Denoiser:
        """The guided denoiser; what does not fit is refused."""
        return self._towards(model)
