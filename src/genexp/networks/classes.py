"""What networks have in common that are told a class, further conditions by vectors, or nothing."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition

ToldBy = Mapping[str, Callable[[int], nn.Module]]
"""Builds, from the size of a vector, a module that maps a further condition to one; by the name of the condition."""

Ready = Callable[[nn.Module], nn.Module]


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

    def require_told(self, condition: Condition) -> None:
        """Raise ValueError where a condition does not hold what the network reads, or holds more."""
        for name in condition:
            if name not in self.reads:
                raise ValueError(f"{name} must not be given to {type(self).__name__}, which does not read it")
        for name in self.reads:
            if name not in condition:
                raise ValueError(f"{name} must be given to {type(self).__name__}, which reads it, got none")


class ReadsFurther(ReadsClass):
    """A network that reads a class, and further conditions of which modules make a vector, or several."""

    told: nn.ModuleDict

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        label = ("label",) if self.num_classes else ()  # no call of super(): torch.compile cannot follow a property's
        return (*label, *self.told)

    @property
    def vector_modules(self) -> Mapping[str, nn.Module]:
        """What makes vectors of further conditions, by their names."""
        return self.told


class ReadsVectors(ReadsFurther, nn.Module):
    """A network told a class and further conditions, each of which becomes a vector, or several.

    Args:
        features: Size of a vector.
        num_classes: Number of classes, or None.
        told: What makes a vector of a further condition, by its name.
    """

    def __init__(self, features: int, num_classes: int | None, told: ToldBy | None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.label = ClassTable(num_classes, features) if num_classes else None
        self.told = told_modules(told, features)

    def vectors(self, condition: Condition) -> list[Tensor]:
        """What every condition it reads becomes, in the order of `reads`: (B, features), or (B, L, features).

        Raises:
            ValueError: the condition does not hold what the network reads, or holds more.
        """
        self.require_told(condition)
        return vectors_of(condition, self.label, self.told)


class ReadsBeside(ReadsFurther, nn.Module):
    """A network told a class and further conditions by vectors beside its latent."""

    embedding: nn.Module | None

    def _tell(self, size: int, told: ToldBy | None, ready: Ready = lambda table: table, apart: bool = True) -> int:
        """Make what gives the vectors.

        Args:
            size: Of one vector.
            told: What makes a vector of a further condition, by its name.
            ready: Initialises the vectors of classes.
            apart: Whether the class has a vector, and is not told otherwise.

        Returns:
            The size of all vectors together.
        """
        self.embedding = ready(ClassTable(self.num_classes, size)) if self.num_classes and apart else None
        self.told = told_modules(told, size)
        return size * (len(self.told) + (self.embedding is not None))

    def beside(self, latent: Tensor, condition: Condition) -> Tensor:
        """Latents (B, N) with the vectors behind them.

        Raises:
            ValueError: the condition does not hold what the network reads, or holds more.
        """
        self.require_told(condition)
        return torch.cat([latent, *vectors_of(condition, self.embedding, self.told)], 1)


def told_modules(told: ToldBy | None, size: int, ready: Ready | None = None) -> nn.ModuleDict:
    """What makes vectors of `size` numbers of conditions, with every layer made `ready` that learns."""
    made = nn.ModuleDict({name: build(size) for name, build in (told or {}).items()})
    for layer in [*made.modules()] if ready is not None else []:
        if isinstance(layer, nn.Linear | nn.Embedding) and layer.weight.requires_grad:
            ready(layer)
    return made


def vectors_of(condition: Condition, table: nn.Module | None, told: Mapping[str, nn.Module]) -> list[Tensor]:
    """What a class, where it has a table, and further conditions become, in this order: (B, N), or (B, L, N)."""
    found = [] if table is None else [table(condition["label"])]
    return found + [module(condition[name]) for name, module in told.items()]
