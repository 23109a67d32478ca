"""Sets of parameters that are optimised separately."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from genexp.ramps import Constant, Ramp


@dataclass
class Update:
    """How one set of parameters is updated.

    Args:
        optimizer: Builds the optimiser from its parameters (a partial of a `torch.optim` class).
        parameters: Builds the list of parameters; called when the optimiser is made.
        learning_rate: Factor on the optimiser's own learning rate, as a function of images seen.
        clip: Largest global gradient norm, or None. Applied to unscaled gradients in every precision.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    parameters: Callable[[], list[nn.Parameter]]
    learning_rate: Ramp = Constant()
    clip: float | None = None


@contextmanager
def gradients_only_to(name: str, updates: dict[str, Update]) -> Iterator[None]:
    """Within, gradients flow to the parameters of the update `name` alone; those frozen before stay frozen."""
    others = [p for other, update in updates.items() if other != name for p in update.parameters()]
    frozen = [p for p in others if p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
