"""From levels to real values: noise within a level, by which a density bounds the probability of levels.

log p(level) >= E[log p(v) - log q(u | level)] - D log L at v = (level + u) / L in [0, 1], u ~ q in [0, 1], over the D
values of an image, each of L levels.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.contracts import Noise
from genexp.flows.coupling_layers import BuildNetwork, CouplingLayer
from genexp.flows.elementwise import Affine
from genexp.flows.masks import checkerboard
from genexp.flows.transform import Chain
from genexp.networks.conditioners import CONTEXT


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


class Variational(nn.Module):
    """u = P(h), h = flow(e; image), e normal, P the normal distribution function.

    log q(u) = log N(e) - log |det dh/de| - log N(h).

    The flow is of couplings of checkerboards that are told the image, the identity at the start, so that u begins as
    uniform.

    Reference: Ho et al., "Flow++: Improving Flow-Based Generative Models with Variational Dequantization and
    Architecture Design" (2019), section 3.1; P in the place of its logistic function.

    Args:
        shape: Of an image (C, H, W).
        network: Builds the networks of the couplings, which read the image as `context`.
        depth: Couplings, at least 1.
        limit: Largest |log-scale| of a coupling.

    Raises:
        ValueError: `depth` is below 1, or the shape is none of an image.
    """

    def __init__(self, shape: Sequence[int], network: BuildNetwork, depth: int = 4, limit: float = 2.0) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth must be at least 1 coupling, got {depth}")
        element = Affine(limit)
        masks = [checkerboard(shape, odd=bool(i % 2)) for i in range(depth)]
        self.transform = Chain(CouplingLayer(shape, element, network, mask) for mask in masks)

    def draw(self, image: Tensor, noise: Noise) -> Tensor:
        """Normal noise of the shape of images (B, C, H, W)."""
        return noise.normal(*image.shape[1:])

    def within(self, image: Tensor, drawn: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Noise (B, C, H, W) in [0, 1] that the image shapes, and its log-density (B,)."""
        h, log_det = self.transform(drawn, {**condition, CONTEXT: image})
        gained = (h.square() - drawn.square()).flatten(1).sum(1) / 2
        return torch.special.ndtr(h), gained - log_det


class Untouched(nn.Module):
    """No noise, for real values, which lie in no level."""

    def draw(self, image: Tensor, noise: Noise) -> Tensor:
        """Nothing (B, 0)."""
        return image.new_zeros(len(image), 0)

    def within(self, image: Tensor, drawn: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """No place in a level, and 0 (B,)."""
        return torch.zeros_like(image), image.new_zeros(len(image))
