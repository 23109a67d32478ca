"""What a critic is made of: the interfaces of its parts. Nothing here computes."""

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition


@runtime_checkable
class AdversarialObjective(Protocol):
    """An adversarial objective: per-sample losses of both players from the critic's scores. Shapes (B,) in, (B,) out.

    `scope` says whose scores the loss of one sample depends on: `sample`, its own; `pair`, those of its pair (real i,
    fake i); `batch`, those of all.
    """

    @property
    def scope(self) -> Literal["sample", "pair", "batch"]: ...

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises."""
        ...

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """What the generator minimises; `real` may be None where `scope` is `sample`, which saves a pass."""
        ...


class Penalty(Protocol):
    """A regulariser of a critic: per-sample values (B,), already weighted.

    `mix` (B,) holds one uniform draw in [0, 1] a sample, for penalties at points between real and fake.
    """

    def __call__(
        self,
        critic: torch.nn.Module,
        real: Tensor,
        fake: Tensor,
        condition: Condition = UNCONDITIONAL,
        mix: Tensor | None = None,
    ) -> Tensor: ...
