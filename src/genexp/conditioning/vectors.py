"""What becomes of conditions that a network is told by vectors: one of each, whatever its kind."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from genexp.conditioning.base import Conditioning


@runtime_checkable
class TellsByVectors(Protocol):
    """A network with a module for each of some conditions that makes a vector of it."""

    @property
    def vector_modules(self) -> Mapping[str, nn.Module]: ...


def require_vectors(network: object, role: str, conditioning: Conditioning) -> None:
    """Check that a network reads what a model is told, and that its modules make one vector each of their conditions.

    Args:
        network: The network.
        role: Its key in the model, for the error.
        conditioning: What it is told.

    Raises:
        ValueError: it reads other conditions, or a module cannot read its own or makes several vectors of it.
    """
    conditioning.require_read_by(network, role)
    for name, module in network.vector_modules.items() if isinstance(network, TellsByVectors) else ():
        kind, training = conditioning.kinds[name], module.training
        try:
            with torch.no_grad():
                made = module.eval()(kind.nothing(2, "cpu"))
            found = None if made.ndim == 2 else f" of shape {list(made.shape)}"
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            found = f", which cannot read it: {str(error).splitlines()[0]}"
        finally:
            module.train(training)
        if found is not None:
            rule = f"must make one vector of model.conditions.{name}, {type(kind).__name__}"
            raise ValueError(f"{role}.told.{name} {rule}, got {type(module).__name__}{found}")
