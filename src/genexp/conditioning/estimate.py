"""What a denoiser is told of its own last answer."""

from collections.abc import Sequence

import torch
from torch import Tensor

ESTIMATE = "estimate"
"""Its name among what a network reads."""


class Estimate:
    """The clean image that a denoiser took a noisier one for; zeros where there is none yet.

    Args:
        shape: Of one sample, (C, H, W) or (D,).
        clip: Clip it to [-1, 1], where images are known to lie.
    """

    def __init__(self, shape: Sequence[int], clip: bool) -> None:
        self.shape, self.clip = tuple(shape), clip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Estimate) and (self.shape, self.clip) == (other.shape, other.clip)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Zeros (num, *shape)."""
        return torch.zeros(num, *self.shape, device=device)

    def of(self, x_0: Tensor) -> Tensor:
        """What is told after the answer `x_0` (B, *shape)."""
        return x_0.clamp(-1, 1) if self.clip else x_0
