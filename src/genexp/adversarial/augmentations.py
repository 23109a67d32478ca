"""What a discriminator sees in place of an image: the same differentiable change of law for real and for fake ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from genexp.geometry import gathered
from genexp.ramps import Constant, Ramp
from genexp.tensors import expand_to

POLICIES = ("color", "translation", "cutout", "flip")


@dataclass(frozen=True)
class DiffAugment:
    """Random colours, shifts and holes, which gradients pass through.

    Pictures that images are judged beside are shifted, cut and flipped with them, and keep their colours.

    color: brightness + U[-1/2, 1/2]; saturation, the distance of channels from their mean, times U[0, 2]; contrast, the
    distance from the mean of the image, times U[1/2, 3/2]. translation: by whole pixels, up to `shift` of the side,
    with zeros from outside. cutout: a square set to zero, its centre anywhere. flip: left to right, one image in two
    (ours; the paper flips the data).

    Reference: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020), section 4 and the
    ranges of the published code.

    Args:
        policy: Which of them, in this order.
        shift: Largest shift as a share of the side.
        hole: Side of the hole as a share of that of the image.

    Raises:
        ValueError: an unknown name, or a share outside [0, 1].
    """

    of_pictures: ClassVar[bool] = True
    policy: Sequence[str] = ("color", "translation", "cutout")
    shift: float = 0.125
    hole: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.policy, str) or set(self.policy) - set(POLICIES):
            raise ValueError(f"policy must be a list of {', '.join(POLICIES)}, got {self.policy!r}")
        for name, share in (("shift", self.shift), ("hole", self.hole)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {share}")

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """Uniform numbers (B, 8): three of colour, two of the shift, two of the hole, one of the flip."""
        return torch.rand(len(image), 8, device=image.device)

    def __call__(self, image: Tensor, drawn: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], which colours may leave."""
        return self._changed(image, drawn, self.policy)

    def beside(self, picture: Tensor, drawn: Tensor) -> Tensor:
        """Pictures (B, C, H, W) with the shifts, holes and flips of their images."""
        return self._changed(picture, drawn, [name for name in self.policy if name != "color"])

    def _changed(self, image: Tensor, drawn: Tensor, policy: Sequence[str]) -> Tensor:
        changes = {
            "color": lambda x: coloured(x, drawn[:, :3]),
            "translation": lambda x: shifted(x, whole_pixels(drawn[:, 3:5], x, self.shift)),
            "cutout": lambda x: x * kept(drawn[:, 5:7], x, self.hole),
            "flip": lambda x: torch.where(expand_to(drawn[:, 7] < 0.5, x), x.flip(-1), x),
        }
        for name in policy:
            image = changes[name](image)
        return image


@dataclass(frozen=True)
class InstanceNoise:
    """Gaussian noise of standard deviation `size`, a ramp over the images seen, on what the discriminator is shown.

    References: Sonderby et al., "Amortised MAP Inference for Image Super-resolution" (2017); Arjovsky and Bottou,
    "Towards Principled Methods for Training Generative Adversarial Networks" (2017).

    Args:
        size: Standard deviation of the noise as a function of the images seen.
    """

    size: Ramp = Constant(0.1)

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """The noise (B, ...)."""
        return self.size(images_seen) * torch.randn_like(image)

    def __call__(self, image: Tensor, drawn: Tensor) -> Tensor:
        """Images (B, ...) with the noise added."""
        return image + drawn

    def beside(self, picture: Tensor, drawn: Tensor) -> Tensor:
        """Pictures as they are."""
        return picture


def coloured(image: Tensor, uniform: Tensor) -> Tensor:
    """Brightness, saturation and contrast of images (B, C, H, W) changed by uniform numbers (B, 3)."""
    brightness, saturation, contrast = (expand_to(each, image) for each in uniform.unbind(1))
    image = image + (brightness - 0.5)
    grey = image.mean(1, keepdim=True)
    image = (image - grey) * (2 * saturation) + grey
    mean = image.mean((1, 2, 3), keepdim=True)
    return (image - mean) * (contrast + 0.5) + mean


def whole_pixels(uniform: Tensor, image: Tensor, share: float) -> Tensor:
    """Uniform numbers (B, 2) as shifts down and right, equally likely whole pixels up to `share` of the sides."""
    shifts = []
    for axis, side in enumerate(image.shape[-2:]):
        most = int(side * share + 0.5)
        shifts.append((uniform[:, axis] * (2 * most + 1)).floor().clamp(max=2 * most).long() - most)
    return torch.stack(shifts, 1)


def shifted(image: Tensor, by: Tensor) -> Tensor:
    """Images (B, C, H, W) moved down and right by whole pixels (B, 2), with zeros from outside."""
    height, width = image.shape[-2:]
    rows = (torch.arange(height, device=image.device) - by[:, :1] + 1).clamp(0, height + 1)
    columns = (torch.arange(width, device=image.device) - by[:, 1:] + 1).clamp(0, width + 1)
    return gathered(F.pad(image, (1, 1, 1, 1)), rows, columns)


def kept(uniform: Tensor, image: Tensor, share: float) -> Tensor:
    """1 outside a hole with its centre at uniform numbers (B, 2), 0 within: (B, 1, H, W)."""
    inside = []
    for axis, side in enumerate(image.shape[-2:]):
        size = int(side * share + 0.5)
        centres = side + (1 - size % 2)
        first = (uniform[:, axis, None] * centres).floor() - size // 2
        at = torch.arange(side, device=image.device)
        inside.append((at >= first) & (at < first + size))
    return (~(inside[0][:, :, None] & inside[1][:, None, :]))[:, None].to(image.dtype)
