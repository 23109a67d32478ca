"""Short videos of discs and squares that move: what a frame shows follows from the one before."""

from typing import Literal

import torch
from torch import Tensor

from genexp.data import generated
from genexp.data.generated import drawn_by_index
from genexp.data.source import Arrays, Split, fingerprint, require_counts, require_split

_BLOCK = 256


class MovingShapes:
    """A bright disc or square on black that moves on a straight line at one speed, deterministic by index.

    The label is the shape. How large it is, where it is in the middle of the video, how fast and in which direction it
    moves are random. Edges are smooth. What leaves the picture is not seen: with `fastest` above 8 / `frames` pixels
    some shapes do.

    Args:
        image_size: Pixels a side, at least 8.
        frames: Frames of a video, at least 2.
        train_videos: Videos of the train split.
        val_videos: Videos of the val split.
        test_videos: Videos of the test split.
        slowest: Least speed, in pixels a frame at 16 pixels a side, at least 0; larger pictures have larger steps.
        fastest: Largest speed, at least `slowest`.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = ("disc", "square")

    def __init__(
        self,
        image_size: int = 16,
        frames: int = 2,
        train_videos: int = 4096,
        val_videos: int = 256,
        test_videos: int = 512,
        slowest: float = 1.0,
        fastest: float = 3.0,
    ) -> None:
        if image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels, got {image_size}")
        if frames < 2:
            raise ValueError(f"frames must be at least 2, got {frames}")
        if not 0 <= slowest <= fastest:
            raise ValueError(f"slowest and fastest must satisfy 0 <= slowest <= fastest, got {slowest} and {fastest}")
        self.image_size, self.frames, self.slowest, self.fastest = image_size, frames, slowest, fastest
        require_counts(train_videos=train_videos, val_videos=val_videos, test_videos=test_videos)
        self.counts: dict[Split, int] = {"train": train_videos, "val": val_videos, "test": test_videos}

    def split(self, name: Literal["train", "val", "test"]) -> Arrays:
        """Videos (N, T, 1, H, W) uint8 as the column `image`, and labels (N,)."""
        require_split(name)
        settings = {"image_size": self.image_size, "frames": self.frames, "split": name, "count": self.counts[name]}
        settings |= {"slowest": self.slowest, "fastest": self.fastest}
        about = fingerprint(__file__, generated.__file__, **settings)
        return Arrays(drawn_by_index(self.counts[name], _BLOCK, name, self._draw), about, generated=True)

    def _draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        size, uniform = self.image_size, torch.rand(6, _BLOCK, generator=generator)
        label = (uniform[0] < 0.5).long()
        radius = size * (2.0 + uniform[1]) / 16
        angle = uniform[2] * 2 * torch.pi
        speed = size * (self.slowest + (self.fastest - self.slowest) * uniform[3]) / 16
        velocity = torch.stack([angle.cos(), angle.sin()]) * speed
        middle = size / 2 + (uniform[4:] - 0.5) * size / 4
        time = torch.arange(self.frames) - (self.frames - 1) / 2
        centre = middle[:, :, None] + velocity[:, :, None] * time  # (2, N, T)
        image = _drawn(centre, radius, label, size)
        return {"image": image.mul(255).round().to(torch.uint8)[:, :, None], "label": label}


def _drawn(centre: Tensor, radius: Tensor, label: Tensor, size: int) -> Tensor:
    """Pictures (N, T, H, W) in [0, 1] of shapes at `centre` (2, N, T)."""
    pixel = torch.arange(size) + 0.5
    across = (pixel - centre[0][..., None])[..., None, :].abs()
    down = (pixel - centre[1][..., None])[..., :, None].abs()
    disc, square = (across.square() + down.square()).sqrt(), torch.maximum(across, down)
    distance = torch.where(label[:, None, None, None] == 0, disc, square)
    return (radius[:, None, None, None] - distance + 0.5).clamp(0, 1)
