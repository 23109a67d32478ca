"""What a model is told beside its images: named conditions, any of which can be left out of single samples."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.estimate import ESTIMATE, Estimate
from genexp.conditioning.kinds import Classes
from genexp.conditioning.pictures import OfPictures
from genexp.tensors import expand_to

Condition = Mapping[str, Tensor]
"""Named tensors with a row for every sample of a batch: `label` (B,), `caption` (B, L), ..."""

UNCONDITIONAL: Condition = MappingProxyType({})
"""Nothing is told."""

_TAKEN = ("image", "index", "group", "noise", "noise_seed", "time", "weight", "latent", "mix", "content", "style")
_TAKEN += (ESTIMATE, "reads", "code", "augmentation", "fake", "earlier")


class ConditionKind(Protocol):
    """What one of a model's conditions looks like, and what stands for its absence."""

    @property
    def left_out(self) -> float: ...

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` (B, ...) have the form of this condition."""
        ...

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Rows (num, ...) that stand for samples which the condition is left out of."""
        ...

    def read(self, typed: object) -> Tensor:
        """One row (1, ...) from what a person wrote; ValueError where that is none."""
        ...


@runtime_checkable
class MadeCondition(ConditionKind, Protocol):
    """A condition that is made of the sample itself where a batch does not have it."""

    def made(self, image: Tensor) -> Tensor:
        """Rows (B, ...) of samples (B, ...), the same for the same sample."""
        ...

    def made_anew(self, image: Tensor) -> Tensor:
        """Rows of samples with all that is random in how they are made drawn from torch's own generator."""
        ...

    def in_training(self, rows: Tensor) -> Tensor:
        """Rows as training tells them, with what is random in it."""
        ...


class OwnKnowledge(Protocol):
    """What a model tells itself and nobody else says, such as its own last answer."""

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Rows (num, ...) that stand for samples of which nothing is told."""
        ...


class Conditioning:
    """The conditions of a model by name.

    Args:
        kinds: What each looks like; none for an unconditional model.
        own: What the model tells itself, by name; no conditions, for nobody else says it.

    Raises:
        ValueError: a name is that of something else in a batch.
    """

    def __init__(
        self, kinds: Mapping[str, ConditionKind] | None = None, own: Mapping[str, OwnKnowledge] | None = None
    ) -> None:
        self.kinds, self.own = dict(kinds or {}), dict(own or {})
        taken = [name for name in self.kinds if name in _TAKEN]
        if taken:
            raise ValueError(f"conditions must have names other than {', '.join(_TAKEN)}, got {taken[0]}")

    @classmethod
    def of(
        cls,
        num_classes: int | None,
        further: Mapping[str, ConditionKind] | None = None,
        left_out: float = 0.0,
        own: Mapping[str, OwnKnowledge] | None = None,
    ) -> "Conditioning":
        """Classes as `label`, unless there are none, and further conditions; `left_out` is that of the classes."""
        label = {} if num_classes is None else {"label": Classes(num_classes, left_out)}
        return cls({**label, **(further or {})}, own)

    @property
    def _all(self) -> dict[str, ConditionKind | OwnKnowledge]:
        return {**self.kinds, **self.own}

    @property
    def estimate(self) -> Estimate | None:
        """What the model is told of its own last answer, if it is."""
        return self.own.get(ESTIMATE)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names of all that its network reads."""
        return tuple(self._all)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return tuple(self.kinds)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of those that training leaves out of some samples, so that the model knows what it is without them."""
        return tuple(name for name, kind in self.kinds.items() if kind.left_out > 0)

    @property
    def num_classes(self) -> int | None:
        """Number of classes, None where `label` is no condition."""
        label = self.kinds.get("label")
        return label.num_classes if isinstance(label, Classes) else None

    @property
    def pictures(self) -> dict[str, OfPictures]:
        """The conditions that are pictures, by name."""
        return {name: kind for name, kind in self.kinds.items() if isinstance(kind, OfPictures)}

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Conditioning) and self.kinds == other.kinds
        return same and self.own == other.own

    def __str__(self) -> str:
        told = {name: f"{kind.num_classes} classes" for name, kind in self.kinds.items() if isinstance(kind, Classes)}
        return ", ".join(told.get(name, name) for name in self.kinds) or "no conditions"

    def told(self, batch: Mapping[str, Tensor], anew: bool = False) -> Condition:
        """What a batch says of its samples, with what is made of these, in full precision.

        Args:
            batch: The batch.
            anew: Whether what is random in making it is drawn; else it is the same for the same sample.

        Raises:
            ValueError: it lacks a condition, or has one of another form.
        """
        found = {}
        for name, kind in self.kinds.items():
            if name in batch:
                found[name] = batch[name]
            elif isinstance(kind, MadeCondition) and "image" in batch:
                with torch.autocast(batch["image"].device.type, enabled=False):
                    found[name] = kind.made_anew(batch["image"]) if anew else kind.made(batch["image"])
            else:
                raise ValueError(f"batch must have {name} for a model of {self}, got {sorted(batch)}")
            _at(name, kind.require, found[name])
        return found

    def sparing(self, condition: Condition) -> Condition:
        """A condition with each part left out of its share of samples, independently; for training."""
        spared = {}
        for name, rows in condition.items():
            kind = self.kinds[name]
            rows = kind.in_training(rows) if isinstance(kind, MadeCondition) else rows
            dropped = torch.rand(len(rows), device=rows.device) < kind.left_out
            spared[name] = torch.where(expand_to(dropped, rows), kind.nothing(len(rows), rows.device), rows)
        return spared

    def without(self, condition: Condition, names: Sequence[str]) -> Condition:
        """A condition with the parts `names` left out of all samples."""
        return {
            name: self.kinds[name].nothing(rows.shape[0], rows.device) if name in names else rows
            for name, rows in condition.items()
        }

    def known(self, condition: Condition) -> Condition:
        """What a model of these knows of a condition that may tell more."""
        return {name: rows for name, rows in condition.items() if name in self._all}

    def whole(self, condition: Condition, num: int, device: torch.device | str) -> Condition:
        """A condition of `num` samples in which what is not told stands there as left out, in the order of `names`.

        Raises:
            ValueError: something else is told.
        """
        unknown = [name for name in condition if name not in self._all]
        if unknown:
            raise ValueError(f"{unknown[0]} must not be told to a model of {self}")
        return {
            name: condition[name] if name in condition else kind.nothing(num, device)
            for name, kind in self._all.items()
        }

    def read(self, typed: Mapping[str, object]) -> Condition:
        """One row of every condition that a person gave.

        Raises:
            ValueError: the model has no such condition, or the text says none.
        """
        unknown = [name for name in typed if name not in self.kinds]
        if unknown:
            raise ValueError(f"{unknown[0]} must be null for a model of {self}, got {typed[unknown[0]]}")
        return {name: _at(name, self.kinds[name].read, given) for name, given in typed.items()}

    def require_read_by(self, network: object, role: str) -> None:
        """Check that a network reads these conditions and no others, where it says which it reads.

        Raises:
            ValueError: it reads others.
        """
        wanted = self.all_names
        if isinstance(network, ReadsConditions) and set(network.reads) != set(wanted):
            reads = ", ".join(network.reads) or "nothing"
            raise ValueError(
                f"{role} must read the conditions of the model, {', '.join(wanted) or 'none'}, got one that reads "
                f"{reads}"
            )


@runtime_checkable
class ReadsConditions(Protocol):
    """A network that says which conditions it reads, so that a model with others is refused before it is trained."""

    @property
    def reads(self) -> tuple[str, ...]: ...


def joined(*conditions: Condition) -> Condition:
    """Conditions of the same names one after the other along the batch."""
    return {name: torch.cat([each[name] for each in conditions]) for name in conditions[0]}


_Given, _Made = TypeVar("_Given"), TypeVar("_Made")


def _at(name: str, act: Callable[[_Given], _Made], value: _Given) -> _Made:
    try:
        return act(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
