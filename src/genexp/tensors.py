"""Tensor conventions shared by every layer: image range, broadcasting, grids, and noise keyed by sample index."""

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genexp.files.json_records import open_regular
from genexp.hardware import sent


def expand_to(values: Tensor, image: Tensor) -> Tensor:
    """Append singleton axes to `values`, (B,) or (B, C), so that they broadcast against `image` (B, C, ...)."""
    return values.reshape(*values.shape, *[1] * (image.ndim - values.ndim))


def in_float32(values: Tensor) -> Tensor:
    """The values in float32, or better where they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def in_double(values: Tensor) -> Tensor:
    """The values as float64; on the CPU where their device has no such numbers (Apple)."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def require_image_shape(image: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless images are of `shape` (C, H, W) each."""
    if tuple(image.shape[1:]) != tuple(shape):
        raise ValueError(f"image must have shape (B, {str(tuple(shape))[1:]}, got {tuple(image.shape)}")


def to_float(image: Tensor) -> Tensor:
    """Map uint8 levels 0..255 to float32 in [-1, 1]; the inverse of `to_uint8` on all 256 levels.

    Raises:
        TypeError: `image` is not uint8.
    """
    if image.dtype != torch.uint8:
        raise TypeError(f"to_float takes a uint8 image, got {image.dtype}")
    return image.float().mul_(2 / 255).sub_(1)


def to_uint8(image: Tensor) -> Tensor:
    """Map float images in [-1, 1] to the nearest uint8 level; values outside the range are clipped.

    Raises:
        TypeError: `image` is not floating point.
    """
    if not image.is_floating_point():
        raise TypeError(f"to_uint8 takes a float image in [-1, 1], got {image.dtype}")
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def image_grid(images: Tensor, columns: int | None = None, padding: int = 2) -> Tensor:
    """Tile float images (B, C, H, W) in [-1, 1] into one uint8 picture (3, rows * H, columns * W) on a white ground.

    Args:
        images: One- or three-channel images; other channel counts are refused.
        columns: Images a row; by default the smallest square that holds them all.
        padding: White pixels around every image.
    """
    count, channels, height, width = images.shape
    if channels not in (1, 3):
        raise ValueError(f"a grid shows images of 1 or 3 channels, got {channels}")
    columns = columns or max(1, round(count**0.5 + 0.499))
    rows = -(-count // columns)
    tiles = to_uint8(images.detach().cpu()).expand(-1, 3, -1, -1)
    canvas = torch.full((3, rows * (height + padding) + padding, columns * (width + padding) + padding), 255).byte()
    for i, tile in enumerate(tiles):
        top = (i // columns) * (height + padding) + padding
        left = (i % columns) * (width + padding) + padding
        canvas[:, top : top + height, left : left + width] = tile
    return canvas


@dataclass(frozen=True)
class Plane:
    """Where points of one data set are shown: the same part of the plane in every picture, with what they aim at.

    Args:
        reach: Both axes show [-reach, reach].
        centres: Means (M, 2) of the modes, or None.
        radius: Radius of a circle around each of them.
        target: Points (N, 2) of the data, or None.
    """

    reach: float
    centres: Tensor | None = None
    radius: float = 0.0
    target: Tensor | None = None


@dataclass(frozen=True)
class Grid:
    """Samples as one picture shows them.

    Args:
        samples: Images (B, C, H, W) or videos (B, T, C, H, W) in [-1, 1], row by row, or points (B, 2).
        columns: Images a row; None for the smallest square.
        across: Words above the columns; none for a picture without words.
        down: Words beside the rows.
        plane: Where points are shown; None where nothing is known of their data.
    """

    samples: Tensor
    columns: int | None = None
    across: Sequence[str] = ()
    down: Sequence[str] = ()
    plane: Plane | None = None


class IndexedNoise:
    """Standard normal noise in which row `i` depends on `seed` and `indices[i]` alone.

    Every row owns a generator, so sample `indices[i]` is the same image for any batch size and any number of processes.
    Successive calls of `normal` continue each row's stream. Values are drawn on the CPU, whatever the device; a card
    goes on with what it does meanwhile.

    Args:
        seed: The seed of the whole set of samples.
        indices: The index of every sample in that set, one a row.
        device: Where the drawn noise is put.
    """

    def __init__(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.indices = [int(i) for i in indices]
        self.device = torch.device(device)
        self._rows = [torch.Generator().manual_seed(mix_seed(seed, i)) for i in self.indices]

    def __len__(self) -> int:
        return len(self._rows)

    def normal(self, *shape: int) -> Tensor:
        """Draw (B, *shape) standard normal float32 values, one row from each sample's own stream."""
        drawn = torch.empty(len(self._rows), *shape)
        for row, generator in zip(drawn, self._rows, strict=True):
            row.normal_(generator=generator)
        return sent(drawn, self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Draw (B, *shape) float32 values uniform in [0, 1], as P(normal), from each sample's own stream."""
        return torch.special.ndtr(self.normal(*shape))

    def integers(self, high: int) -> Tensor:
        """Draw (B,) integers uniform in [0, high), one from each sample's own stream."""
        drawn = [torch.randint(high, (1,), generator=generator) for generator in self._rows]
        return sent(torch.cat(drawn), self.device)


class BatchNoise:
    """Noise for the samples of a training batch, from torch's own generator on their device.

    Args:
        like: A tensor (B, ...) of as many samples, of the device and kind of number that noise is wanted in.
    """

    def __init__(self, like: Tensor) -> None:
        self.like = like

    def normal(self, *shape: int) -> Tensor:
        """Draw (B, *shape) standard normal values."""
        return torch.randn(len(self.like), *shape, dtype=self.like.dtype, device=self.like.device)

    def uniform(self, *shape: int) -> Tensor:
        """Draw (B, *shape) values uniform in [0, 1)."""
        return torch.rand(len(self.like), *shape, dtype=self.like.dtype, device=self.like.device)


def to_levels(image: Tensor, levels: int) -> Tensor:
    """Map float images in [-1, 1] to the nearest of `levels` evenly spread values, as int64 in [0, levels)."""
    return image.add(1).mul((levels - 1) / 2).round().clamp(0, levels - 1).long()


def from_levels(level: Tensor, levels: int) -> Tensor:
    """Map int64 levels to the float32 values in [-1, 1] that they stand for; the inverse of `to_levels`."""
    return level.float().mul(2 / (levels - 1)).sub(1)


def mix_seed(*parts: int) -> int:
    """Hash integers into one well-spread 63-bit seed (splitmix64 finaliser over a running sum)."""
    state = 0
    for part in parts:
        state = (state + (part & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


_MASK = (1 << 64) - 1


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed what draws on `device`, and on the CPU; on the CPU alone in a microsecond.

    `torch.manual_seed` also leaves word for every other kind of accelerator, and a text of the whole stack with each:
    0.4 ms from within a training loop.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def require_sound(path: Path, what: str) -> None:
    """Hold every part of a file that `torch.save` wrote against its checksum, which `torch.load` does not.

    Args:
        path: The file.
        what: What it is, for the error.

    Raises:
        ValueError: it is no such file, or a part of it is damaged.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as opened, zipfile.ZipFile(opened) as file:
            damaged = file.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(f"{what} must be a readable checkpoint of PyTorch, got {path}: {error}") from error
    if damaged is not None:
        raise ValueError(f"{what} must match its checksums, got {path}: {damaged} is damaged")
