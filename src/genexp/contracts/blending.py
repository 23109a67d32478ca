"""What `genexp stylize` asks of a network that paints in any style."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Blender(Protocol):
    """A stylizer that describes a style once, and paints in several described ones at once."""

    any_style: bool  # else it has one of its own, and is given none
    alpha: float

    def described(self, style: Tensor) -> Tensor:
        """What is kept of styles (B, 3, h, w)."""
        ...

    def painted(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        weights: Sequence[float],
        masks: Sequence[Tensor] = (),
        alpha: float = 1.0,
    ) -> Tensor:
        """Contents (B, 3, H, W) in the described styles, by weights that sum to 1, or in regions (1, 1, H, W)."""
        ...
