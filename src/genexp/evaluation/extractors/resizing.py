"""How images reach the size that a network was made for, under names that stand in the protocol."""

from typing import Literal, get_args

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from genexp.sample_kinds import require_images

Resize = Literal["none", "torch_antialias", "pil_clean", "tf1_legacy"]
"""Rules of resizing, by the names that a protocol records."""


def require_resize(how: str) -> str:
    """The name of a rule.

    Raises:
        ValueError: there is no such rule.
    """
    if how not in get_args(Resize):
        raise ValueError(f"resize must be one of {', '.join(get_args(Resize))}, got {how}")
    return how


def resized(image: Tensor, size: int, how: str) -> Tensor:
    """Bring images to `size` x `size` pixels.

    `torch_antialias` interpolates linearly with a filter that grows with the reduction. `pil_clean` is Pillow's bicubic
    filter on every channel in floating point, without rounding to levels, clipped to the range. `tf1_legacy` is
    TensorFlow 1's linear interpolation between the pixels at i * in / out: without a filter, and shifted up and left.
    `none` takes images of the right size only. Images of that size pass unchanged under every rule.

    Reference: Parmar, Zhang and Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation" (2022).

    Args:
        image: (B, C, H, W) in [-1, 1].
        size: Side to bring them to, in pixels.
        how: Name of the rule.

    Raises:
        ValueError: there is no such rule, or `none` is asked to change the size.
    """
    require_resize(how)
    require_images(image)
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    if image.shape[2:] == (size, size):
        return image
    if how == "none":
        raise ValueError(f"image must have {size} x {size} pixels with resize=none, got {tuple(image.shape[2:])}")
    if how == "torch_antialias":
        return interpolate(image, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return _pil_clean(image, size) if how == "pil_clean" else _tf1_legacy(image, size)


def _pil_clean(image: Tensor, size: int) -> Tensor:
    planes = image.detach().float().cpu().flatten(0, 1).numpy()
    done = numpy.empty((len(planes), size, size), dtype=numpy.float32)
    for plane, result in zip(planes, done, strict=True):
        levels = Image.fromarray((plane + 1) * 127.5)
        result[:] = numpy.asarray(levels.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 255) / 127.5 - 1
    return torch.from_numpy(done).reshape(*image.shape[:2], size, size).to(image.device)


def _tf1_legacy(image: Tensor, size: int) -> Tensor:
    for axis in (2, 3):
        length = image.shape[axis]
        place = torch.arange(size, dtype=torch.float32, device=image.device) * (length / size)
        low = place.long()
        high = (low + 1).clamp(max=length - 1)
        share = (place - low).reshape([-1 if i == axis else 1 for i in range(4)])
        below = image.index_select(axis, low)
        image = below + (image.index_select(axis, high) - below) * share
    return image
