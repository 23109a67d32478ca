"""From levels to real values: noise within a level, by which a density bounds the probability of levels.

log p(level) >= E[log p(v) - log q(u | level)] - D log L at v = (level + u) / L in [0, 1], u ~ q in [0, 1], over the D
values of an image, each of L levels.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.contracts import Noise


class Dequantisation(Protocol):
    """How noise within a level is drawn. `draw` gives all that is random; `within` turns it into u and log q(u)."""

    def draw(self, image: Tensor, noise: Noise) -> Tensor: ...

    def within(self, image: Tensor, drawn: Tensor, condition: Condition) -> tuple[Tensor, Tensor]: ...


class Uniform(nn.Module):
    """u uniform in [0, 1], so log q = 0.

    Reference: Theis, van den Oord and Bethge, "A note on the evaluation of generative models" (2016), section 3.1.
    """

    def draw(self, image: Tensor, noise: Noise) -> Tensor:
        """Noise of the shape of images (B, C, H, W)."""
        return noise.uniform(*image.shape[1:])

    def within(self, image: Tensor, drawn: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """The noise as it is, and 0 (B,)."""
        return drawn, drawn.new_zeros(len(drawn))


class Untouched(nn.Module):
    """No noise, for real values, which lie in no level."""

    def draw(self, image: Tensor, noise: Noise) -> Tensor:
        """Nothing (B, 0)."""
        return image.new_zeros(len(image), 0)

    def within(self, image: Tensor, drawn: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """No place in a level, and 0 (B,)."""
        return torch.zeros_like(image), image.new_zeros(len(image))
