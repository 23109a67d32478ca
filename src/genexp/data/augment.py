"""Random changes of training images: torchvision v2 transforms, drawn anew for every image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import RandomHorizontalFlip, RandomVerticalFlip

from genexp.tensors import mix_seed

_FLIPS = {RandomHorizontalFlip: -1, RandomVerticalFlip: -2}


class Augmentation:
    """Applies transforms to uint8 images, each image with its own draw.

    A v2 transform called on a batch draws once for the whole batch, so transforms run image by image; flips, the common
    case, are one vectorised step. The draws of an image depend on (seed, stream position) alone: they are the same
    for every number of ranks and after a resume, and the global random state is left as it was.

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
            ValueError: a transform changed the shape or the type of the images.
        """
        positions = range(first, first + stride * len(image), stride)
        devices = [image.device] if image.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            for number, transform in enumerate(self.transforms):
                seeds = [mix_seed(self.seed, position, number) for position in positions]
                image = _kept(image, _apply(transform, image, seeds), transform)
        return image


def _apply(transform: nn.Module, image: Tensor, seeds: list[int]) -> Tensor:
    axis = _FLIPS.get(type(transform))
    if axis is not None:
        # 53 bits of the seed itself are the uniform draw: no generator an image
        flipped = torch.tensor([(seed >> 10) / 2**53 < transform.p for seed in seeds], device=image.device)
        return torch.where(flipped.reshape(-1, 1, 1, 1), image.flip(axis), image)
    changed = []
    for one, seed in zip(image, seeds, strict=True):
        torch.manual_seed(seed)
        changed.append(transform(one))
    if any(one.shape != image.shape[1:] for one in changed):
        return changed[0]
    return torch.stack(changed)


def _kept(before: Tensor, after: Tensor, transform: nn.Module) -> Tensor:
    if after.shape != before.shape or after.dtype != before.dtype:
        name = type(transform).__name__
        raise ValueError(
            f"an augmentation must keep uint8 images of shape {tuple(before.shape[1:])}, "
            f"got {after.dtype} of shape {tuple(after.shape[-3:])} from {name}"
        )
    return after
