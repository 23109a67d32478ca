"""Noise and image that belong together, in the place of data and noise that know nothing of each other."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from genexp.contracts.codecs import Codec
from genexp.diffusion.denoiser import NetworkDenoiser


class Pairs(Protocol):
    """What a diffusion is trained on beside the data, which it is still measured on."""

    codec: Codec | None  # of what the images are codes by

    def require(self, denoiser: NetworkDenoiser) -> None:
        """Refuse a denoiser of other images or conditions, with a ValueError."""
        ...

    def __call__(
        self, place: Tensor, held_out: bool, device: torch.device
    ) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        """Images, noise, each (B, ...), and what a network is told, for places (B,) uniform in [0, 1)."""
        ...
