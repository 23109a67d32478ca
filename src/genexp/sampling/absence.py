"""What stands in the place of conditions that guidance goes away from: their absence, or what nobody wants to see."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from genexp.conditioning.base import Condition, Conditioning

_LEFT_OUT = {"label": "model.label_dropout"}
"""The key that says how often a condition is left out, where it is not among `model.conditions`."""


class Absence:
    """Conditions without some of their parts, which are left out or, where a negative is given, replaced by it.

    A negative caption in the place of no caption is a practice of users of latent diffusion, not of a paper.

    Args:
        conditioning: The model's conditions.
        over: Names of those that are guided.
        negative: What a person wants nothing of, by name; none by default.

    Raises:
        ValueError: one of `over` was never left out in training, or a negative is of none of these, is none of its
            condition, or is not one for all samples.
    """

    def __init__(
        self, conditioning: Conditioning, over: Sequence[str], negative: Mapping[str, object] | None = None
    ) -> None:
        never = [name for name in over or conditioning.names if name not in conditioning.optional]
        if never:
            raise ValueError(
                f"guidance must be over conditions that training leaves out of some samples, got {never[0]}: "
                f"{_LEFT_OUT.get(never[0], f'model.conditions.{never[0]}.left_out')} must be above 0 in training"
            )
        unguided = [name for name in negative or {} if name not in over]
        if unguided:
            given = (negative or {})[unguided[0]]
            raise ValueError(f"negative.{unguided[0]} must be of a guided condition, {', '.join(over)}, got {given!r}")
        self.conditioning = conditioning
        try:
            self.negative = dict(conditioning.read(negative or {}))
        except ValueError as error:
            raise ValueError(f"negative.{error}") from error
        for name, rows in self.negative.items():
            if len(rows) != 1:
                raise ValueError(f"negative.{name} must be one for all samples, got {len(rows)}")

    def of(self, condition: Condition, names: Sequence[str]) -> Condition:
        """A condition that tells nothing of `names`, with a row for every sample of what it still tells of them."""
        return {**self.conditioning.without(condition, names), **self._instead(condition, names)}

    def untold(self, condition: Condition, names: Sequence[str], like: Tensor) -> Condition:
        """A condition without `names`, which are not told at all but where there is a negative; of samples `like`."""
        told = {name: rows for name, rows in condition.items() if name not in names}
        instead = {name: rows for name, rows in self.negative.items() if name in names}
        return {**told, **{name: _for_all(rows, like) for name, rows in instead.items()}}

    def _instead(self, condition: Condition, names: Sequence[str]) -> Condition:
        return {name: _for_all(rows, condition[name]) for name, rows in self.negative.items() if name in names}


def _for_all(row: Tensor, like: Tensor) -> Tensor:
    return row.to(like.device).expand(len(like), *row.shape[1:])


def require_told(condition: Condition, names: Sequence[str], strength: str) -> None:
    """Check that what is guided is told.

    Raises:
        ValueError: it is not.
    """
    missing = [name for name in names if name not in condition]
    if missing:
        raise ValueError(f"{missing[0]} must be given for classifier-free guidance of {strength}, got none")
