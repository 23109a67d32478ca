"""What networks have in common that are told a class, or nothing."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from genexp.conditioning.base import Condition


class ClassTable(nn.Embedding):
    """A learned vector for every class, and their mixtures."""

    def forward(self, label: Tensor) -> Tensor:
        """Classes (B,) int64 to vectors (B, N), or shares (B, C) of the first C classes to their weighted sums."""
        if label.is_floating_point():
            return label.to(self.weight.dtype) @ self.weight[: label.shape[1]]
        return super().forward(label)


class ReadsClass:
    """A network of `num_classes` classes that reads `label`, and nothing where that is None."""

    num_classes: int | None

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return ("label",) if self.num_classes else ()

    def label_of(self, condition: Condition) -> Tensor | None:
        """The classes (B,) of a condition; None for a network without.

        Raises:
            ValueError: it does not hold what the network reads, or holds more.
        """
        for name in condition:
            if name not in self.reads:
                raise ValueError(f"{name} must not be given to {type(self).__name__}, which does not read it")
        for name in self.reads:
            if name not in condition:
                raise ValueError(f"{name} must be given to {type(self).__name__}, which reads it, got none")
        return condition.get("label")


class ReadsVectors(ReadsClass, nn.Module):
    """A network told a class and further conditions, each of which becomes a vector, or several.

    Args:
        features: Size of a vector.
        num_classes: Number of classes, or None.
        told: Builds, from the size of a vector, a module that maps a further condition to one; by its name.
    """

    def __init__(
        self, features: int, num_classes: int | None, told: Mapping[str, Callable[[int], nn.Module]] | None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.label = ClassTable(num_classes, features) if num_classes else None
        self.told = nn.ModuleDict({name: build(features) for name, build in (told or {}).items()})

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return (*(() if self.label is None else ("label",)), *self.told)

    def vectors(self, condition: Condition) -> list[Tensor]:
        """What every condition it reads becomes, in the order of `reads`: (B, features), or (B, L, features).

        Raises:
            ValueError: the condition does not hold what the network reads, or holds more.
        """
        label = self.label_of(condition)
        found = [] if self.label is None else [self.label(label)]
        return found + [module(condition[name]) for name, module in self.told.items()]
