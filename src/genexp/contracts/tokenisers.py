"""The interfaces of images as grids of whole numbers."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from genexp.contracts import Autoregressive, Batch, Noise


@runtime_checkable
class Tokeniser(Protocol):
    """A model that turns images into codes (h, w), each one of `codes`, and back, with a likelihood given the codes."""

    code_shape: tuple[int, ...]
    codes: int

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood is a probability."""
        ...

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it."""
        ...

    def tokens(self, image: Tensor) -> Tensor:
        """The codes (B, h, w) of images (B, C, H, W) as observed, int64."""
        ...

    def from_tokens(self, code: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of codes (B, h, w)."""
        ...

    def log_likelihood_of(self, batch: Batch, code: Tensor) -> Tensor:
        """log p(x | codes) (B,) in nats of an observed batch."""
        ...


@runtime_checkable
class OfTokens(Protocol):
    """A density of images by the codes of a tokeniser: codes are drawn in order, and become images."""

    tokeniser: Tokeniser
    of_codes: Autoregressive
