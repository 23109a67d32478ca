"""Layers that learn faster or slower than the rest of a model.

Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), section 3.2, for
lower rates of the lower layers.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from genexp.families.layers import below, require_layers
from genexp.files.trees import Tree

if TYPE_CHECKING:
    from genexp.families.updates import Update

KEY = "training.rate_factors"


class RateFactors:
    """Factors of the learning rate by the names of layers.

    They multiply the rate that the optimiser and its ramp give, at every step. A parameter that several patterns name
    has the factor of the last one, all others have 1.

    Args:
        model: The model, adapted and frozen.
        factors: Factors above 0 by names of modules or parameters, with all below them; `*` stands for text.
        updates: The model's updates.

    Raises:
        ValueError: a pattern names no layer, or frozen ones alone, or an optimiser has one rate for all.
    """

    def __init__(self, model: nn.Module, factors: Mapping[str, float], updates: Mapping[str, "Update"]) -> None:
        require_layers(model, list(factors), KEY)
        self.factors, named = dict(factors), dict[int, str]()
        for pattern in factors:
            found = {
                id(p): pattern for name, p in model.named_parameters() if p.requires_grad and below(name, [pattern])
            }
            if not found:
                raise ValueError(f"{KEY} must name layers that train, got {pattern}, of which nothing does")
            named |= found
        for hidden in factors.keys() - set(named.values()):
            raise ValueError(f"{KEY} must name {hidden} after what contains it: the last name of a layer counts")
        self._of = {parameter: factors[pattern] for parameter, pattern in named.items()}
        for update in updates.values() if factors else ():
            try:
                update.optimizer(self.groups([p for p in update.parameters() if p.requires_grad]))
            except ValueError as error:
                raise ValueError(f"{KEY} must be null with an optimiser of one rate for all: {error}") from error

    def groups(self, parameters: Sequence[nn.Parameter]) -> list[Tree]:
        """Parameter groups for an optimiser, each with its `factor`; that of 1, if any, comes first."""
        groups: dict[float, list[nn.Parameter]] = {}
        for parameter in parameters:
            groups.setdefault(self._of.get(id(parameter), 1.0), []).append(parameter)
        return [{"params": groups[each], "factor": each} for each in sorted(groups, key=lambda each: each != 1)]

    def note(self) -> str | None:
        """Which layers have which factors, for a person; None where none has."""
        return ", ".join(f"{factor:g} x {name}" for name, factor in self.factors.items()) or None
