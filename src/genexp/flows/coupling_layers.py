"""Coupling layers: some values stay and say what becomes of the others."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.flows.elementwise import Elementwise
from genexp.flows.masks import halves
from genexp.flows.transform import Change, Transform

BuildNetwork = Callable[[Sequence[int], int], nn.Module]
"""Builds, from a shape and a number N, a module that maps (samples (B, *shape), condition) to (B, N, *shape)."""


class CouplingLayer(Transform):
    """z = x where the mask is true, and elsewhere an elementwise function whose parameters come from there.

    A network whose last layer is 0 makes it the identity at the start.

    References: Dinh, Krueger and Bengio, "NICE" (2015); Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real
    NVP" (2017), equations 7 to 9.

    Args:
        shape: Of a sample.
        element: The function.
        network: Builds what gives its parameters.
        mask: True (*shape) at the values that stay, the first half of the first axis by default.

    Raises:
        ValueError: the mask has another shape, or keeps all or nothing.
    """

    def __init__(
        self, shape: Sequence[int], element: Elementwise, network: BuildNetwork, mask: Tensor | None = None
    ) -> None:
        super().__init__()
        mask = halves(shape) if mask is None else mask
        if tuple(mask.shape) != tuple(shape):
            raise ValueError(f"mask must have the shape {tuple(shape)} of a sample, got {tuple(mask.shape)}")
        if mask.all() or not mask.any():
            raise ValueError("mask must keep some values and change others, got one that is all alike")
        self.element = element
        self.network = network(shape, element.count)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The values that change, forward."""
        return self._changed(x, *self.element.forward(x, self._given(x, condition)))

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The values that change, back."""
        return self._changed(z, *self.element.inverse(z, self._given(z, condition)))

    def _given(self, x: Tensor, condition: Condition) -> Tensor:
        return self.network(x * self.mask, condition).to(x.dtype)

    def _changed(self, before: Tensor, after: Tensor, log_slope: Tensor) -> Change:
        log_det = torch.where(self.mask, 0.0, log_slope).flatten(1).sum(1)
        return torch.where(self.mask, before, after), log_det
