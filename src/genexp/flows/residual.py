"""Residual flows of vectors: a step that is invertible because it is short."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.flows.coupling_layers import BuildNetwork
from genexp.flows.transform import Change, Transform

LARGEST = 64
"""Entries of a vector up to which the Jacobian is written out."""


@runtime_checkable
class Contraction(Protocol):
    """A network whose Lipschitz constant in its samples is below 1."""

    lipschitz: float


class Residual(Transform):
    """z = x + g(x), g a contraction; the way back is the fixed point x = z - g(x).

    log |det (I + dg/dx)| is exact, by the whole Jacobian: for vectors of few entries. The papers estimate it by a
    series, for images.

    References: Behrmann et al., "Invertible Residual Networks" (2019), algorithm 1 and theorem 1; Chen et al.,
    "Residual Flows for Invertible Generative Modeling" (2019).

    Args:
        shape: (D,) of a vector, D at most 64.
        network: Builds g, a `Contraction` with one number an entry.

    Raises:
        ValueError: `shape` is none of a short vector, or `network` builds no contraction.
    """

    def __init__(self, shape: Sequence[int], network: BuildNetwork) -> None:
        super().__init__()
        if len(shape) != 1 or shape[0] > LARGEST:
            rule = f"transform must be of vectors of at most {LARGEST} entries with block=residual"
            raise ValueError(f"{rule}, got {list(shape)}")
        self.network = network(shape, 1)
        if not isinstance(self.network, Contraction):
            kind = type(self.network).__name__
            raise ValueError(f"transform must have a contraction as the network of a residual block, got {kind}")

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The step, and its whole Jacobian."""
        with torch.autocast(x.device.type, enabled=False):
            slopes = vmap(jacrev(self._of_one))(x, dict(condition))
            identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
            return x + self._step(x, condition), torch.linalg.slogdet(identity + slopes).logabsdet

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The fixed point, to the precision of the numbers.

        Raises:
            RuntimeError: it was not reached, which a network that is no contraction brings about.
        """
        x, least = z, 4 * torch.finfo(z.dtype).eps
        with torch.autocast(z.device.type, enabled=False):
            for _ in range(1000):
                before, x = x, z - self._step(x, condition)
                if torch.all((x - before).abs() <= least * (1 + x.abs())):
                    return x, -self(x, condition)[1]
        raise RuntimeError("a residual block was not inverted in 1,000 steps: its network is no contraction")

    def _step(self, x: Tensor, condition: Condition) -> Tensor:
        return self.network(x, condition)[:, 0]

    def _of_one(self, x: Tensor, condition: Condition) -> Tensor:
        return self._step(x[None], {name: rows[None] for name, rows in condition.items()})[0]
