"""What a network is told, as vectors that are added to its first features."""

from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.networks.classes import ClassTable, ReadsFurther, ToldBy, told_modules, vectors_of
from genexp.tensors import expand_to


class ConditionBias(nn.Module):
    """Adds a learned vector of every condition to hidden features (B, width, ...); the identity without any.

    Args:
        num_classes: Number of classes, or None.
        width: Size of the features on axis 1.
        told: What makes a vector of a further condition, by its name.
    """

    def __init__(self, num_classes: int | None, width: int, told: ToldBy | None) -> None:
        super().__init__()
        self.table = None if num_classes is None else ClassTable(num_classes, width)
        self.told = told_modules(told, width)

    def forward(self, hidden: Tensor, condition: Condition) -> Tensor:
        """Features plus the vectors."""
        for bias in vectors_of(condition, self.table, self.told):
            hidden = hidden + expand_to(bias, hidden)
        return hidden


class BiasedNetwork(ReadsFurther, nn.Module):
    """A stem, the vectors of conditions added to its features, a body and a head."""

    stem: nn.Module
    label: ConditionBias
    body: nn.Module
    head: nn.Module

    def _tell(self, num_classes: int | None, width: int, told: ToldBy | None) -> None:
        self.num_classes, self.label = num_classes, ConditionBias(num_classes, width, told)

    @property
    def told(self) -> nn.ModuleDict:
        """What makes vectors of further conditions."""
        return self.label.told

    def _through(self, given: Tensor, condition: Condition) -> Tensor:
        self.require_told(condition)
        return self.head(self.body(self.label(self.stem(given), condition)))
