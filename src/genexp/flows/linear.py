"""Linear transforms of the first axis of samples: channels of an image, entries of a vector."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, distributed, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.flows.transform import Change, Transform
from genexp.tensors import expand_to, in_double

LEAST = 1e-6
"""Added to standard deviations that are divided by."""


class Scaling(Transform):
    """z = x exp(s) with one learned s a channel, 0 at the start.

    Reference: Dinh, Krueger and Bengio, "NICE" (2015), section 3.3.

    Args:
        shape: Of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape[0]))
        self.places = prod(shape[1:])

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Values scaled."""
        return x * _along(self.log_scale.exp(), x), self._log_det(x)

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Values scaled back."""
        return z * _along(torch.exp(-self.log_scale), z), -self._log_det(z)

    def _log_det(self, x: Tensor) -> Tensor:
        return (self.places * self.log_scale.sum()).to(x.dtype).expand(x.shape[0])


class ActNorm(Scaling):
    """z = (x + shift) exp(s), one shift and s a channel, set by the first batch so that z has mean 0 and variance 1.

    That batch is the whole one, over all processes and before it is cut for accumulation. Whether it has been seen is
    part of the state: what is loaded is not set again. Before that the transform is the identity.

    Reference: Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions" (2018), section 3.1.

    Args:
        shape: Of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        self.shift = nn.Parameter(torch.zeros(shape[0]))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Values moved, then scaled."""
        return super().forward(x + _along(self.shift, x), condition)

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Values scaled back, then moved back."""
        x, log_det = super().inverse(z, condition)
        return x - _along(self.shift, x), log_det

    @torch.no_grad()
    def initialise(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Set both from samples, unless that has been done."""
        if not self.initialised:
            rows = in_double(x.transpose(0, 1).flatten(1))
            moments = torch.stack([torch.full_like(rows[:, 0], rows.shape[1]), rows.sum(1), rows.square().sum(1)])
            if distributed.is_available() and distributed.is_initialized():
                distributed.all_reduce(moments)
            mean = moments[1] / moments[0]
            deviation = (moments[2] / moments[0] - mean.square()).clamp(min=0).sqrt()
            self.shift.copy_(-mean)
            self.log_scale.copy_(-torch.log(deviation + LEAST))
            self.initialised.fill_(True)
        return self(x, condition)[0]


class Permutation(Transform):
    """Channels in another order.

    Args:
        order: Which channel comes to each place.
    """

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Channels in their new order."""
        return x[:, self.order], x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Channels in their old order."""
        return z[:, self.order.argsort()], z.new_zeros(z.shape[0])


class Reverse(Permutation):
    """Channels from the last to the first.

    Args:
        shape: Of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(torch.arange(shape[0]).flip(0))


class Shuffle(Permutation):
    """Channels in an order that is drawn once and kept.

    Args:
        shape: Of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(torch.randperm(shape[0]))


class InvertibleLinear(Transform):
    """z = W x over channels (a 1 x 1 convolution) or entries, W = P L (U + diag(sign exp(s))), a rotation at the start.

    P is a permutation that stays, L unit lower and U strictly upper triangular, so log |det W| = sum s.

    Reference: Kingma and Dhariwal, "Glow" (2018), section 3.2, equations 10 and 11.

    Args:
        shape: Of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        rotation = torch.eye(shape[0])
        nn.init.orthogonal_(rotation)
        swapped, lower, upper = torch.linalg.lu(rotation.double())
        diagonal = upper.diagonal()
        self.register_buffer("order", swapped.argmax(1))  # row i of W is row order[i] of L U
        self.register_buffer("sign", diagonal.sign().float())
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())
        self.log_scale = nn.Parameter(diagonal.abs().log().float())
        self.places = prod(shape[1:])

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Channels mixed."""
        lower, upper = self._factors()
        with torch.autocast(x.device.type, enabled=False):
            z = torch.einsum("ij,bj...->bi...", (lower @ upper)[self.order], x)
        return z, self._log_det(x)

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Channels unmixed, by solving two triangular systems."""
        lower, upper = self._factors()
        rows = z[:, self.order.argsort()].transpose(0, 1)
        with torch.autocast(z.device.type, enabled=False):
            solved = torch.linalg.solve_triangular(lower, rows.flatten(1), upper=False, unitriangular=True)
            solved = torch.linalg.solve_triangular(upper, solved, upper=True)
        return solved.view(rows.shape).transpose(0, 1), -self._log_det(z)

    def _factors(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        return lower, self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def _log_det(self, x: Tensor) -> Tensor:
        return (self.places * self.log_scale.sum()).to(x.dtype).expand(x.shape[0])


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Values (C,) as they stand beside samples (B, C, ...)."""
    return expand_to(values, x[0])
