"""Conditions that are pictures made of the sample itself, by taking something away from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genexp.conditioning.chance import Chance, Drawn, OfContent
from genexp.conditioning.degradations import Degradation, Downscaled
from genexp.conditioning.kinds import require_form, require_share
from genexp.conditioning.pictures import require_pictures
from genexp.tensors import expand_to

_MEANS = Downscaled()


@dataclass(frozen=True)
class Degraded:
    """A picture (B, C, h, w) that a degradation makes of the sample, so that a model learns to undo it.

    Of a video it may make frames (B, K, C, h, w).

    With `noise` the model is trained on pictures with Gaussian noise of a deviation from 0 to that, as likely as any
    other, and is told it in a further channel: then it believes less in what a model before it has drawn. Pictures that
    it draws from have noise of one deviation, `drawn`, and no noise by default. Zeros stand for no picture.

    What is random in a degradation is drawn anew in training where a family asks for that, and else depends on the
    sample alone: what is held out is degraded in the same way every time.

    References: Saharia et al., "Image Super-Resolution via Iterative Refinement" (2021), section 2.3, for the low
    resolution beside the noisy image; Ho et al., "Cascaded Diffusion Models for High Fidelity Image Generation" (2022),
    section 4, for the noise.

    Args:
        shape: Shape (C, H, W) of the images that it is made of, or (T, C, H, W) of videos.
        degradation: What makes it.
        noise: Largest deviation of the noise in training, at least 0.
        left_out: Share of training samples that are not told theirs, in [0, 1).
        eight_bits: Whether a picture has the 256 levels of a file, as one that is given has.
        drawn: Deviation of the noise on pictures that images are drawn from where nobody says another, in [0, noise].

    Raises:
        ValueError: `shape` is that of no image, the degradation does not go with it, or a number is out of range.
    """

    shape: Sequence[int]
    degradation: Degradation = _MEANS
    noise: float = 0.0
    left_out: float = field(default=0.0, compare=False)
    eight_bits: bool = False
    drawn: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) not in (3, 4) or any(size < 1 for size in self.shape):
            raise ValueError(f"shape must be (C, H, W) of an image or (T, C, H, W), got {list(self.shape)}")
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, got {self.noise}")
        if not 0 <= self.drawn <= self.noise:
            raise ValueError(f"drawn must lie in [0, noise={self.noise:g}], got {self.drawn}")
        require_share(self.left_out)
        example = torch.zeros(1, *self.shape)
        object.__setattr__(self, "picture", tuple(self.degradation(example, OfContent(example)).shape[1:]))

    picture: tuple[int, ...] = field(init=False, compare=False)
    """Shape (C, h, w) of a picture, or (K, C, h, w) of frames."""

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of what the model is told: a picture, with the channel of its noise where there may be some."""
        *frames, channels, height, width = self.picture
        return (*frames, channels + (self.noise > 0), height, width)

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are real numbers (B, *row)."""
        require_form(rows, self.row, integers=False)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Zeros (num, *row)."""
        return torch.zeros(num, *self.row, device=device)

    def read(self, typed: object) -> Tensor:
        """Rows (N, *row) of pictures (N, C, h, w) in [-1, 1]; of a file they are made before."""
        return self._without_noise(require_pictures(typed, self.picture))

    def made(self, image: Tensor) -> Tensor:
        """Rows (B, *row) of samples (B, *shape), the same for the same sample."""
        return self._without_noise(self.of(image, OfContent(image)))

    def made_anew(self, image: Tensor) -> Tensor:
        """Rows of samples with all that is random in the degradation drawn from torch's own generator."""
        return self._without_noise(self.of(image, Drawn(image)))

    def of(self, image: Tensor, chance: Chance) -> Tensor:
        """Pictures (B, C, h, w) of images of any size that the degradation takes."""
        picture = self.degradation(image, chance)
        return picture.add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1) if self.eight_bits else picture

    def in_training(self, rows: Tensor) -> Tensor:
        """Rows with noise of a random deviation, which they tell."""
        if self.noise == 0:
            return rows
        level = self.noise * expand_to(torch.rand(len(rows), device=rows.device), rows)
        return self._noisy(rows, level, torch.randn_like(rows[..., :-1, :, :]))

    def at_level(self, rows: Tensor, level: float, noise: Tensor) -> Tensor:
        """Rows (B, *row) without noise at one level of it.

        Args:
            rows: The rows.
            level: Deviation of the noise, in [0, noise].
            noise: Standard normal values (B, *picture).

        Raises:
            ValueError: training has shown no such level.
        """
        if not 0 <= level <= self.noise:
            raise ValueError(f"must lie in [0, {self.noise:g}], the levels of training, got {level:g}")
        return rows if level == 0 else self._noisy(rows, torch.full_like(rows[..., :1, :1, :1], level), noise)

    def _noisy(self, rows: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        return torch.cat([rows[..., :-1, :, :] + level * noise, level.expand_as(rows[..., -1:, :, :])], -3)

    def _without_noise(self, picture: Tensor) -> Tensor:
        return picture if self.noise == 0 else torch.cat([picture, torch.zeros_like(picture[..., :1, :, :])], -3)
