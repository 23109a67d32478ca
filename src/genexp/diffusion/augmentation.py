"""Augmentation that a denoiser is told of, so that what is drawn from it shows none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from genexp.conditioning.base import ConditionKind, MadeCondition
from genexp.conditioning.kinds import Values
from genexp.conditioning.pictures import OfPictures
from genexp.geometry import places, rotation, sampled

AUGMENTATION = "augmentation"
"""Its name among what a network reads."""

_ORDER = ("flip", "flip_down", "scale", "turn", "stretch", "move")


@dataclass(frozen=True)
class GeometricAugment:
    """Flips, scaling, turns, stretching and moves of training images, each of which the network is told of.

    Each strikes an image by itself with `probability`, the flip from left to right with `flip`: then one image in two
    is flipped. Scale is 2^(0.2 a), the turn U[-pi, pi], the stretch 2^(0.2 a) along a direction U[-pi, pi] and its
    inverse across, the move a / 8 of the side each way, with a standard normal. The network is told nine numbers: 1
    for each flip, a of the scale, cos - 1 and sin of the turn, a cos and a sin of the stretch, a and a of the move.
    They are zero where nothing strikes, and zero in validation and in drawing: then it knows the images as they are.

    Read by bilinear sampling with mirrored borders, without the filters against aliasing of the paper's code.

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), section 5 and
    appendix F.2 (configuration F).

    Args:
        probability: Of each change, in [0, 1].
        flip: Of the flip from left to right, in [0, 1]; 0 where images have a left and a right.

    Raises:
        ValueError: a probability lies outside [0, 1].
    """

    probability: float = 0.12
    flip: float = 1.0

    def __post_init__(self) -> None:
        for name, odds in (("probability", self.probability), ("flip", self.flip)):
            if not 0 <= odds <= 1:
                raise ValueError(f"augmentation.{name} must lie in [0, 1], got {odds}")

    def kind(
        self, shape: Sequence[int], conditions: Mapping[str, ConditionKind], parts: Mapping[str, object]
    ) -> Values:
        """What a network of images (C, H, W) is told.

        Args:
            shape: Of one sample.
            conditions: What else it is told.
            parts: By name, what may stand between a batch's images and what is trained on; None where there is none.

        Raises:
            ValueError: something stands there, or they are no images, or a picture stays where it is beside them.
        """
        between = [name for name, part in parts.items() if part is not None]
        if between:
            raise ValueError(f"augmentation must be null with {between[0]}: it changes the images of a batch")
        if len(shape) != 3:
            raise ValueError(f"augmentation must be null but for images (C, H, W), got samples of {list(shape)}")
        still = [name for name, kind in conditions.items() if isinstance(kind, OfPictures)]
        still = [name for name in still if not isinstance(conditions[name], MadeCondition)]
        if still:
            raise ValueError(f"augmentation must be null with pictures that do not move with the image, got {still[0]}")
        return Values((9,))

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) changed at random, and what is told of each, (B, 9)."""
        numbers = self._drawn(len(image), image.device)
        with torch.autocast(image.device.type, enabled=False):  # half precision would move places
            return changed(image, numbers), numbers

    def _drawn(self, num: int, device: torch.device) -> Tensor:
        odds = {name: self.flip if name == "flip" else self.probability for name in _ORDER}
        chance = torch.rand(num, len(_ORDER), device=device).unbind(1)
        strikes = {name: each < odds[name] for name, each in zip(_ORDER, chance, strict=True)}
        coins = (torch.rand(num, 2, device=device) < 0.5).unbind(1)
        turn, along = (pi * (2 * torch.rand(num, 2, device=device) - 1)).unbind(1)
        scale, stretch, down, right = torch.randn(num, 4, device=device).unbind(1)
        told = {
            "flip": [coins[0]],
            "flip_down": [coins[1]],
            "scale": [scale],
            "turn": [turn.cos() - 1, turn.sin()],
            "stretch": [stretch * along.cos(), stretch * along.sin()],
            "move": [down, right],
        }
        return torch.stack([each * strikes[name] for name in _ORDER for each in told[name]], 1).float()


def changed(image: Tensor, numbers: Tensor) -> Tensor:
    """Images (B, C, H, W) flipped, scaled, turned, stretched and moved, in this order, as numbers (B, 9) say."""
    flip, flip_down, scale, cosine, sine, along, across, down, right = numbers.unbind(1)
    size, stretch = 2 ** (-0.2 * scale), torch.hypot(along, across)
    mirrored = torch.diag_embed(torch.stack([(1 - 2 * flip_down) * size, (1 - 2 * flip) * size], 1))
    turned = rotation(torch.atan2(sine, cosine + 1))
    axis = rotation(torch.atan2(across, along))
    stretched = axis @ torch.diag_embed(torch.stack([2 ** (-0.2 * stretch), 2 ** (0.2 * stretch)], 1)) @ axis.mT
    # Where a pixel of the result is read from: the changes undone from the last to the first.
    matrix = mirrored @ turned @ stretched
    height, width = image.shape[-2:]
    move = torch.stack([down * height / 8, right * width / 8], 1)
    return sampled(image, *places(image, matrix, (matrix @ move[:, :, None])[:, :, 0]))
