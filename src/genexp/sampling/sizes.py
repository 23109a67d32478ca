"""Pictures of several sizes brought to one, to be shown side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genexp.sample_kinds import SampleKind


def of_one_size(pictures: Sequence[Tensor]) -> list[Tensor]:
    """Pictures (N, C, h, w) at the size of the last ones, by larger pixels, with as many channels as any of them."""
    size, channels = pictures[-1].shape[-2:], max(each.shape[1] for each in pictures)
    return [interpolate(each.float(), size).expand(-1, channels, -1, -1) for each in pictures]


def whole(frames: Tensor, like: Tensor) -> Tensor:
    """First frames (N, K, C, h, w), or a picture (N, C, h, w), as videos (N, T, C, H, W), grey where nothing is."""
    frames = frames if SampleKind.VIDEO.has(frames) else frames[:, None]
    sized = interpolate(frames.float().flatten(0, 1), like.shape[-2:]).unflatten(0, frames.shape[:2])
    found = torch.zeros_like(like, dtype=sized.dtype)
    found[:, : frames.shape[1]] = sized
    return found
