"""From values in [0, 1] to those that a flow transforms."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.flows.transform import Change, Transform


class Centred(Transform):
    """x = 2 v - 1: values in [0, 1] to [-1, 1]."""

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """To [-1, 1]."""
        return 2 * x - 1, torch.full_like(x[:, 0].flatten(1)[:, 0], x[0].numel() * math.log(2))

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """To [0, 1]."""
        return (z + 1) / 2, torch.full_like(z[:, 0].flatten(1)[:, 0], -z[0].numel() * math.log(2))


class Logit(Transform):
    """x = logit(alpha + (1 - 2 alpha) v): values in [0, 1] to the real line, so that every draw is one of [0, 1].

    dx/dv = (1 - 2 alpha) / (y (1 - y)) at y = alpha + (1 - 2 alpha) v.

    Reference: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017), section 4.1.

    Args:
        alpha: How far y keeps from 0 and 1, in (0, 0.5).

    Raises:
        ValueError: `alpha` is out of range.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha must lie between 0 and 0.5, got {alpha}")
        self.alpha = alpha

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """To the real line."""
        z = torch.logit(self.alpha + (1 - 2 * self.alpha) * x)
        return z, self._log_det(z)

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """To [0, 1], and a little beyond where the flow goes there."""
        return (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha), -self._log_det(z)

    def _log_det(self, z: Tensor) -> Tensor:
        return (math.log(1 - 2 * self.alpha) + softplus(z) + softplus(-z)).flatten(1).sum(1)
