"""What networks have in common that are told a class, or nothing."""

from torch import Tensor

from genexp.conditioning.base import Condition


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
        unread = [name for name in condition if name not in self.reads]
        if unread == ["label"]:
            raise ValueError("label must not be given to a network built without num_classes")
        if unread:
            raise ValueError(f"{unread[0]} must not be given to {type(self).__name__}, which does not read it")
        if self.num_classes and "label" not in condition:
            raise ValueError(f"label must be given to a network of {self.num_classes} classes, got none")
        for name in self.reads:
            if name not in condition:
                raise ValueError(f"{name} must be given to {type(self).__name__}, which reads it, got none")
        return condition.get("label")
