"""Adaptive discriminator augmentation: how often it strikes follows from how far the critic overfits."""

from collections.abc import Mapping, Sequence
from math import pi
from typing import ClassVar

import torch
from torch import Tensor, nn

from genexp.adversarial.augmentations import whole_pixels
from genexp.geometry import gathered, mirrored, places, rotation, sampled
from genexp.tensors import expand_to

GROUPS = ("blit", "geometry", "color")
CHANGES = (
    *("flip", "quarter_turns", "shift_down", "shift_right"),
    *("scale", "turn_first", "stretch", "turn_last", "move_down", "move_right"),
    *("brightness", "contrast", "luma_flip", "hue", "saturation"),
)
"""What is drawn for every image, in order; both shifts and both moves strike together."""


class AdaptiveAugment(nn.Module):
    """Changes that strike each image with probability p, which a controller moves.

    blit: flip, turns by 90 degrees, shifts by whole pixels up to 1/8 of the side. geometry: scale 2^N(0, 0.2), turn by
    any angle, stretch 2^N(0, 0.2), shift N(0, 1/8) of the side, by bilinear sampling. Borders are mirrors. color:
    brightness N(0, 0.2), contrast 2^N(0, 0.5), luma flip, hue U[-pi, pi], saturation 2^N(0, 1); on images without three
    channels the last three are left out. Each change strikes by itself, a turn twice, before and after the stretch,
    with 1 - sqrt(1 - p).

    The controller reads r = E[sign D(x)] of the real images as they were seen: every `every` steps p goes up where r
    is above `target`, down where it is below, so fast that it would go from 0 to 1 in `images` images.

    Reference: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), sections 2 and 3 and
    appendix B. Without its wavelet filters against aliasing.

    Args:
        policy: Which kinds of change.
        target: r that p is held at; None for a p that stays as it is.
        p: Probability at the start, in [0, 1].
        every: Critic steps between two moves of p.
        images: Training images over which p would go from 0 to 1.

    Raises:
        ValueError: an unknown word, or a number out of its range.
    """

    of_pictures: ClassVar[bool] = True
    p: Tensor
    signs: Tensor
    steps: Tensor
    seen: Tensor
    turns: Tensor

    def __init__(
        self,
        policy: Sequence[str] = GROUPS,
        target: float | None = 0.6,
        p: float = 0.0,
        every: int = 4,
        images: int = 500_000,
    ) -> None:
        super().__init__()
        if isinstance(policy, str) or set(policy) - set(GROUPS):
            raise ValueError(f"policy must be a list of {', '.join(GROUPS)}, got {policy!r}")
        if not 0 <= p <= 1:
            raise ValueError(f"p must lie in [0, 1], got {p}")
        for name, value in (("every", every), ("images", images)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.policy, self.target, self.every, self.images = tuple(policy), target, every, images
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.tensor(0.0))
        self.register_buffer("steps", torch.tensor(0.0))
        self.register_buffer("seen", torch.tensor(0.0))
        turns = torch.tensor([name.startswith("turn_") for name in CHANGES])
        self.register_buffer("turns", turns, persistent=False)

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """Two numbers a change and image (B, 2, 15): 1 where it strikes at the p of now, else 0; and uniform, how."""
        uniform = torch.rand(len(image), 2, len(CHANGES), device=image.device)
        odds = torch.where(self.turns, 1 - (1 - self.p).sqrt(), self.p)
        return torch.stack([(uniform[:, 0] < odds).to(uniform.dtype), uniform[:, 1]], 1)

    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Note the mean sign of the real scores of a step over `images` images, and move p by those noted before.

        Those were agreed on by all ranks when their batch ended; this one will be.
        """
        self._move()
        self.signs += means["real_sign"].float()
        self.steps += 1
        self.seen += images

    def _move(self) -> None:
        """Move p once `every` steps are noted."""
        if self.target is None:
            return
        due = self.steps >= self.every
        step = torch.sign(self.signs / self.steps.clamp(min=1) - self.target) * self.seen / self.images
        self.p.copy_(torch.where(due, (self.p + step).clamp(0, 1), self.p))
        for total in (self.signs, self.steps, self.seen):
            total.mul_(~due)

    def forward(self, image: Tensor, drawn: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], which colours may leave."""
        return _changed(image, drawn, self.policy)

    def beside(self, picture: Tensor, drawn: Tensor) -> Tensor:
        """Pictures (B, C, H, W) moved as their images are, in their own colours."""
        return _changed(picture, drawn, [group for group in self.policy if group != "color"])


def _changed(image: Tensor, drawn: Tensor, policy: Sequence[str]) -> Tensor:
    strikes, how = (dict(zip(CHANGES, each.unbind(1), strict=True)) for each in drawn.unbind(1))
    change = {"blit": blitted, "geometry": warped, "color": recoloured}
    with torch.autocast(image.device.type, enabled=False):  # half precision would move places and colours
        for group in policy:
            image = change[group](image, strikes, how)
    return image


Numbers = Mapping[str, Tensor]


def blitted(image: Tensor, strikes: Numbers, how: Numbers) -> Tensor:
    """Images (B, C, H, W) flipped, turned by quarters and shifted where `strikes` (B,) is 1, by uniform `how` (B,)."""
    image = torch.where(expand_to((strikes["flip"] > 0) & (how["flip"] < 0.5), image), image.flip(-1), image)
    turns = (4 * how["quarter_turns"]).floor() * strikes["quarter_turns"]
    for quarter in (1, 2, 3):
        turned = torch.rot90(image, quarter, (-2, -1)) if image.shape[-1] == image.shape[-2] or quarter == 2 else image
        image = torch.where(expand_to(turns == quarter, image), turned, image)
    by = whole_pixels(torch.stack([how["shift_down"], how["shift_right"]], 1), image, 0.125)
    return _moved(image, by * strikes["shift_down"].long()[:, None])


def _moved(image: Tensor, by: Tensor) -> Tensor:
    """Images (B, C, H, W) moved down and right by whole pixels (B, 2), with mirrors at their borders."""
    sides = zip(image.shape[-2:], by.unbind(1), strict=True)
    rows, columns = (mirrored(torch.arange(side, device=image.device) - move[:, None], side) for side, move in sides)
    return gathered(image, rows, columns)


def warped(image: Tensor, strikes: Numbers, how: Numbers) -> Tensor:
    """Images (B, C, H, W) scaled, turned, stretched and moved where `strikes` (B,) is 1, by uniform numbers (B,)."""
    struck = {name: strikes[name] * _normal(how[name]) for name in ("scale", "stretch", "move_down", "move_right")}
    scale, stretch = 2 ** (0.2 * struck["scale"]), 2 ** (0.2 * struck["stretch"])
    turns = [strikes[name] * pi * (2 * how[name] - 1) for name in ("turn_first", "turn_last")]
    # The place in the given image that a pixel of the changed one is read from, both measured from the centre.
    matrix = rotation(turns[0]) @ torch.diag_embed(torch.stack([stretch * scale, scale / stretch], 1))
    matrix = matrix @ rotation(turns[1])
    height, width = image.shape[-2:]
    # Moves strike together: those to the right by the strike of those downwards.
    moves = struck["move_down"] * height / 8, strikes["move_down"] * _normal(how["move_right"]) * width / 8
    return sampled(image, *places(image, matrix, torch.stack(moves, 1)))


def recoloured(image: Tensor, strikes: Numbers, how: Numbers) -> Tensor:
    """Images (B, C, H, W) of other colours where `strikes` (B,) is 1, by uniform numbers (B,)."""
    image = image + expand_to(0.2 * strikes["brightness"] * _normal(how["brightness"]), image)
    image = image * expand_to(2 ** (0.5 * strikes["contrast"] * _normal(how["contrast"])), image)
    if image.shape[1] != 3:
        return image
    axis = torch.full((3,), 3**-0.5, device=image.device)
    along = torch.outer(axis, axis)
    flip = strikes["luma_flip"] * (how["luma_flip"] < 0.5)
    matrix = torch.eye(3, device=image.device) - 2 * along * flip[:, None, None]
    angle = strikes["hue"] * pi * (2 * how["hue"] - 1)
    cross = torch.linalg.cross(torch.eye(3, device=image.device), axis.expand(3, 3))
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    matrix = (along + cosine * (torch.eye(3, device=image.device) - along) + sine * cross) @ matrix
    saturation = 2 ** (strikes["saturation"] * _normal(how["saturation"]))[:, None, None]
    matrix = (along + saturation * (torch.eye(3, device=image.device) - along)) @ matrix
    return torch.einsum("bij,bjhw->bihw", matrix.to(image.dtype), image)


def _normal(uniform: Tensor) -> Tensor:
    return torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-6, 1 - 1e-6)) * 2**0.5
