"""What is known of a generator that makes styles."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition


@runtime_checkable
class Styled(Protocol):
    """A generator that makes styles of a latent, and images of styles and of what else is random in the latent."""

    @property
    def mean_style(self) -> Tensor:
        """The mean (W,) of styles over the images of training so far."""
        ...

    def styles(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) to styles (B, L, W), one for each of L layers."""
        ...

    def synthesise(self, styles: Tensor, latent: Tensor | None = None) -> Tensor:
        """Styles (B, L, W) to images (B, C, H, W), with the noise that latents (B, *latent_shape) hold, or none."""
        ...
