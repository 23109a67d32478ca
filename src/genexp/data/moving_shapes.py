"""Short videos of discs and squares that move: what a frame shows follows from the one before."""

from typing import Literal

import torch
from torch import Tensor

from genexp.data import generated
from genexp.data.generated import drawn_by_index
from genexp.data.source import Arrays, Split, fingerprint, require_counts, require_split

_BLOCK = 256


class MovingShapes:
    """A bright disc or square on black that moves on a straight line, deterministic by index.

    The label is the shape. Where it starts, how fast and in which direction it moves, and how bright it is are random;
    its speed lies between 1 and 3 pixels a frame at 16 pixels, and with it in larger pictures. Edges are smooth.

    Args:
        image_size: Pixels a side, at least 8.
        frames: Frames of a video, at least 2.
        train_videos: Videos of the train split.
        val_videos: Videos of the val split.
        test_videos: Videos of the test split.

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
    ) -> None:
        if image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels, got {image_size}")
        if frames < 2:
            raise ValueError(f"frames must be at least 2, got {frames}")
        self.image_size, self.frames = image_size, frames
        require_counts(train_videos=train_videos, val_videos=val_videos, test_videos=test_videos)
        self.counts: dict[Split, int] = {"train": train_videos, "val": val_videos, "test": test_videos}

    def split(self, name: Literal["train", "val", "test"]) -> Arrays:
        """Videos (N, T, 1, H, W) uint8 as the column `image`, and labels (N,)."""
        require_split(name)
        settings = {"image_size": self.image_size, "frames": self.frames, "split": name, "count": self.counts[name]}
        about = fingerprint(__file__, generated.__file__, **settings)
        return Arrays(drawn_by_index(self.counts[name], _BLOCK, name, self._draw), about, generated=True)

    def _draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        size, uniform = self.image_size, torch.rand(6, _BLOCK, generator=generator)
        label = (uniform[0] < 0.5).long()
        radius = size * (2.0 + uniform[1]) / 16
        angle, speed = uniform[2] * 2 * torch.pi, size * (1 + 2 * uniform[3]) / 16
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
