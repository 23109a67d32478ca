"""Transforms that move values about: squeezes, factoring out, flattening."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.flows.transform import Change, Transform


class Squeeze(Transform):
    """Images (C, H, W) to (4 C, H / 2, W / 2): each block of 2 x 2 pixels becomes one of four times the channels.

    Reference: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017), section 3.6.

    Args:
        shape: Of an image, of even height and width.

    Raises:
        ValueError: a side is odd.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        if len(shape) != 3 or shape[1] % 2 or shape[2] % 2:
            raise ValueError(f"shape must be that of images [C, H, W] with even sides for a squeeze, got {list(shape)}")
        self.shape = (4 * shape[0], shape[1] // 2, shape[2] // 2)

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Blocks into channels."""
        return pixel_unshuffle(x, 2), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Channels into blocks."""
        return pixel_shuffle(z, 2), z.new_zeros(z.shape[0])


class Flatten(Transform):
    """Samples (B, *shape) to vectors (B, D).

    Args:
        shape: Of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape, self.size = tuple(shape), prod(shape)

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Samples as vectors."""
        return x.flatten(1), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Vectors as samples."""
        return z.unflatten(1, self.shape), z.new_zeros(z.shape[0])


class FactorOut(Transform):
    """The first half of the channels goes on through another transform; the others are noise as they stand.

    Samples (B, C, H, W) become vectors (B, D): what goes on, then the rest.

    Reference: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017), equations 14 to 16.

    Args:
        shape: Of a sample, with an even number of channels.
        onward: Maps the first half (B, C / 2, H, W) to vectors.

    Raises:
        ValueError: the number of channels is odd.
    """

    def __init__(self, shape: Sequence[int], onward: Transform) -> None:
        super().__init__()
        if shape[0] % 2:
            raise ValueError(f"shape must have an even number of channels to factor half of them out, got {shape[0]}")
        self.shape = (shape[0] // 2, *shape[1:])
        self.onward = onward

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Images to vectors."""
        onward, rest = x.chunk(2, dim=1)
        z, log_det = self.onward(onward, condition)
        return torch.cat([z, rest.flatten(1)], 1), log_det

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Vectors to images."""
        onward, rest = z.chunk(2, dim=1)
        x, log_det = self.onward.inverse(onward, condition)
        return torch.cat([x, rest.unflatten(1, self.shape)], 1), log_det

    def initialise(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The other transform by the first half."""
        onward, rest = x.chunk(2, dim=1)
        return torch.cat([self.onward.initialise(onward, condition), rest.flatten(1)], 1)
