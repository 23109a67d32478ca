"""Autoregressive layers: every entry of a vector is changed by what those before it say."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.flows.coupling_layers import BuildNetwork
from genexp.flows.elementwise import Elementwise
from genexp.flows.transform import Change, Inverse, Transform


@runtime_checkable
class OfEarlier(Protocol):
    """A network of vectors (B, D) whose numbers (B, N) for an entry are of the entries before it alone."""

    of_earlier: bool


class MaskedAutoregressive(Transform):
    """z_i = f(x_i; parameters of x_1 .. x_i-1): one pass of the network there, D passes back.

    So the density of data is fast and draws are slow (MAF). A posterior takes it as it stands: its draws z = f(e) and
    log q(z) = log q0(e) - log_det are then fast (IAF); for densities see `InverseAutoregressive`.

    References: Papamakarios, Pavlakou and Murray, "Masked Autoregressive Flow for Density Estimation" (2017); Kingma et
    al., "Improved Variational Inference with Inverse Autoregressive Flow" (2016).

    Args:
        shape: (D,) of a vector.
        element: The function f.
        network: Builds what gives its parameters, an `OfEarlier`.

    Raises:
        ValueError: `network` builds none.
    """

    def __init__(self, shape: Sequence[int], element: Elementwise, network: BuildNetwork) -> None:
        super().__init__()
        self.element, self.network = element, network(shape, element.count)
        if not isinstance(self.network, OfEarlier):
            kind = type(self.network).__name__
            raise ValueError(f"transform must have network=masked in an autoregressive block, got {kind}")

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """All entries at once."""
        z, log_slope = self.element.forward(x, self.network(x, condition).to(x.dtype))
        return z, log_slope.sum(1)

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """One entry after the other."""
        found, slopes = z[:, :0], z[:, :0]
        for i in range(z.shape[1]):
            known = torch.cat([found, torch.zeros_like(z[:, i:])], 1)
            given = self.network(known, condition)[..., i : i + 1].to(z.dtype)
            entry, log_slope = self.element.inverse(z[:, i : i + 1], given)
            found, slopes = torch.cat([found, entry], 1), torch.cat([slopes, log_slope], 1)
        return found, slopes.sum(1)


class InverseAutoregressive(Inverse):
    """A masked autoregressive layer the other way round: draws are fast, and the density of data is slow.

    Args:
        shape: (D,) of a vector.
        element: The function of one entry.
        network: Builds what gives its parameters, an `OfEarlier`.
    """

    def __init__(self, shape: Sequence[int], element: Elementwise, network: BuildNetwork) -> None:
        super().__init__(MaskedAutoregressive(shape, element, network))
