"""Random changes of training images: torchvision v2 transforms, drawn anew for every image."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genexp.tensors import mix_seed, seed_generators

if TYPE_CHECKING:  # torchvision takes seconds to import; data without augmentation do without it
    from torchvision.transforms.v2 import RandomCrop, RandomErasing


class RandomTransforms:
    """Applies transforms to uint8 images, each image with its own draw.

    A v2 transform called on a batch draws once for the whole batch, so transforms run image by image; the common cases,
    flips, shifts (`RandomCrop` with padding) and small erased rectangles, are one vectorised step. What an image gets
    depends on (seed, stream position) alone: it is the same for every number of ranks and after a resume, and the
    global random state is left as it was.

    Args:
        transforms: torchvision v2 transforms in order; they must keep uint8 and the image's shape.
        seed: Seed of all draws.
    """

    def __init__(self, transforms: Sequence[nn.Module], seed: int) -> None:
        self.transforms, self.seed = list(transforms), seed

    def __bool__(self) -> bool:
        return bool(self.transforms)

    def __call__(self, image: Tensor, first: int, stride: int = 1) -> Tensor:
        """Augment images whose stream positions are first, first + stride, ...

        Args:
            image: (B, C, H, W) uint8.
            first: Stream position of the first image.
            stride: Distance of consecutive images in the stream, the number of ranks.

        Returns:
            (B, C, H, W) uint8.

        Raises:
            ValueError: a transform failed, or changed the shape or the type of the images.
        """
        positions = range(first, first + stride * len(image), stride)
        devices = [image.device] if image.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            for number, transform in enumerate(self.transforms):
                seeds = [mix_seed(self.seed, position, number) for position in positions]
                name = f"data.augment[{number}], {type(transform).__name__},"
                try:
                    changed = _apply(transform, image, seeds)
                except Exception as error:  # a transform of any library, on images that it may not be made for
                    raise ValueError(f"{name} failed on {_described(image)}: {error}") from error
                image = _kept(image, changed, name)
        return image


def _apply(transform: nn.Module, image: Tensor, seeds: list[int]) -> Tensor:
    from torchvision.transforms import v2

    if type(transform) in (v2.RandomHorizontalFlip, v2.RandomVerticalFlip):
        return _flip(image, transform.p, -1 if type(transform) is v2.RandomHorizontalFlip else -2, seeds)
    if type(transform) is v2.RandomCrop and not transform.pad_if_needed:
        return _shift(transform, image, seeds)
    if type(transform) is v2.RandomErasing and _always_fits(transform):
        return _erase(transform, image, seeds)
    changed = []
    for one, seed in zip(image, seeds, strict=True):
        seed_generators(seed, image.device)
        changed.append(transform(one))
    if any(one.shape != image.shape[1:] for one in changed):
        return changed[0]
    return torch.stack(changed)


def _flip(image: Tensor, probability: float, axis: int, seeds: list[int]) -> Tensor:
    flipped = _uniform(seeds).to(image.device) < probability
    return torch.where(flipped.reshape(-1, 1, 1, 1), image.flip(axis), image)


def _shift(transform: "RandomCrop", image: Tensor, seeds: list[int]) -> Tensor:
    """Pad the batch as the transform says, then cut every image at its own place with one indexing step."""
    from torchvision.transforms.v2.functional import pad

    if transform.padding is not None:
        image = pad(image, transform.padding, fill=transform.fill, padding_mode=transform.padding_mode)
    count, channels, height, width = image.shape
    if height < transform.size[0] or width < transform.size[1]:
        raise ValueError(f"size must be at most that of the padded image, {height} x {width}, got {transform.size}")
    places = []
    for number, (whole, part) in enumerate(((height, transform.size[0]), (width, transform.size[1]))):
        first = (_uniform([mix_seed(seed, number) for seed in seeds]) * (whole - part + 1)).long()
        places.append((first[:, None] + torch.arange(part)).to(image.device))
    sample = torch.arange(count, device=image.device).reshape(-1, 1, 1, 1)
    channel = torch.arange(channels, device=image.device).reshape(1, -1, 1, 1)
    return image[sample, channel, places[0][:, None, :, None], places[1][:, None, None, :]]


def _always_fits(transform: "RandomErasing") -> bool:
    """Whether every rectangle that may be drawn is smaller than the image, so that none is ever drawn again."""
    longest = max(transform.ratio[1], 1 / transform.ratio[0])
    return transform.scale[1] * longest < 0.9 and isinstance(transform.value, int | float)


def _erase(transform: "RandomErasing", image: Tensor, seeds: list[int]) -> Tensor:
    """Set a rectangle of every chosen image to `value`: area uniform in `scale`, aspect log-uniform in `ratio`."""
    height, width = image.shape[-2:]
    chosen, area, aspect, top, left = (_uniform([mix_seed(seed, number) for seed in seeds]) for number in range(5))
    low, high = transform.scale
    area = (low + area * (high - low)) * height * width
    low, high = (math.log(bound) for bound in transform.ratio)
    aspect = (low + aspect * (high - low)).exp()
    tall, wide = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    first_row, first_column = (top * (height - tall + 1)).floor(), (left * (width - wide + 1)).floor()
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= first_row[:, None]) & (rows < (first_row + tall)[:, None])
    in_columns = (columns >= first_column[:, None]) & (columns < (first_column + wide)[:, None])
    hidden = in_rows[:, None, :, None] & in_columns[:, None, None, :] & (chosen < transform.p).reshape(-1, 1, 1, 1)
    return image.masked_fill(hidden.to(image.device), transform.value)


def _uniform(seeds: list[int]) -> Tensor:
    """Numbers (B,) in [0, 1) made of the top 53 bits of well-spread 63-bit seeds: no generator an image."""
    return torch.tensor([(seed >> 10) / 2**53 for seed in seeds], dtype=torch.float64)


def _kept(before: Tensor, after: Tensor, name: str) -> Tensor:
    if after.shape != before.shape or after.dtype != before.dtype:
        raise ValueError(f"{name} must keep {_described(before)}, got {after.dtype} of shape {tuple(after.shape[-3:])}")
    return after


def _described(image: Tensor) -> str:
    return f"uint8 images of shape {tuple(image.shape[1:])}"
