"""Diffusion of codes in place of images."""

from copy import copy
from typing import Self

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts.codecs import Codec
from genexp.contracts.preparing import Encodes
from genexp.diffusion.denoiser import NetworkDenoiser


class CodeDenoiser:
    """The denoiser of codes, which says by what they become images. The likelihood of images it does not know.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022).

    Args:
        denoiser: Denoiser of codes.
        codec: Between images and codes.

    Raises:
        ValueError: the network of the denoiser takes no such codes.
    """

    def __init__(self, denoiser: NetworkDenoiser, codec: Codec) -> None:
        _require_codes(denoiser)
        self.denoiser, self.codec = denoiser, codec
        self.image_shape, self.conditioning = denoiser.image_shape, denoiser.conditioning
        self.schedule, self.variance = denoiser.schedule, denoiser.variance
        self.objective, self.weighting = denoiser.objective, denoiser.weighting

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Clean codes (B, *image_shape) from noisy ones, times (B,) and a condition."""
        return self.denoiser(x_t, t, condition)

    def magnified(self, alpha: float, sigma: float) -> float:
        """How large the error of clean codes is, at levels of signal and noise, where the output is wrong by 1."""
        return self.denoiser.magnified(alpha, sigma)

    def prepared(self) -> Self:
        """This denoiser for one drawing, see `NetworkDenoiser.prepared`."""
        return self._around(self.denoiser.prepared())

    @property
    def network(self) -> nn.Module:
        """The network, of codes."""
        return self.denoiser.network

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of the conditions that its network reads in tokens."""
        return self.denoiser.attends

    def encoding(self, encoder: Encodes) -> Self:
        """This denoiser with another encoder, see `NetworkDenoiser.encoding`."""
        return self._around(self.denoiser.encoding(encoder))

    def _around(self, denoiser: NetworkDenoiser) -> Self:
        other = copy(self)
        other.denoiser = denoiser
        return other

    def moments(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> tuple[Tensor, Tensor | None]:
        """Clean codes, and where the log-variance of a step back lies, see `NetworkDenoiser.moments`."""
        return self.denoiser.moments(x_t, t, condition)

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Losses (B,) of clean codes (B, *image_shape), see `NetworkDenoiser.loss`."""
        return self.denoiser.loss(x, t, noise, condition)


@torch.no_grad()
def _require_codes(denoiser: NetworkDenoiser) -> None:
    """Show the network one code, which is small, as no signature says what shapes it takes."""
    schedule, code = denoiser.schedule, torch.zeros(1, *denoiser.image_shape)
    try:
        denoiser(code, torch.full((1,), schedule.last, dtype=torch.int64 if schedule.discrete else torch.float32))
    except (ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(f"network must take codes of shape {list(denoiser.image_shape)}: {line}") from error


def require_codec(codec: Codec, image_shape: tuple[int, ...]) -> None:
    """Check that a codec is of these images.

    Raises:
        ValueError: it is of others.
    """
    if tuple(codec.image_shape) != tuple(image_shape):
        raise ValueError(
            f"codec must be of images of shape {list(image_shape)} as image_shape, got one of {list(codec.image_shape)}"
        )
