"""Which weights of a run are meant: what a person types as `weights=`. Imports no torch."""

import math
import re
from dataclasses import dataclass

QUANTISED = ("int8_weight_only", "int8_dynamic")
"""How the matrices of weights are kept in 8 bits: alone, or with activations brought to 8 bits in every call."""

WORDS = "one of averaged, raw, averaged@<half-life in images>, post_hoc@<width>, each also with +" + " or +".join(
    QUANTISED
)
"""What can be typed, for people."""

_TYPED = re.compile(r"(averaged|raw|post_hoc)(?:@([0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+))?")


@dataclass(frozen=True)
class WeightsChoice:
    """One set of weights that a checkpoint holds, or that follows from it.

    Args:
        kind: `raw`, the last ones; `averaged`, an average by half-life; `post_hoc`, a power-function average.
        number: The half-life in images, or the relative width; None for the last ones and for the first average.
        quantised: One of `QUANTISED`; None for the weights as they were trained.
    """

    kind: str
    number: float | None = None
    quantised: str | None = None

    @classmethod
    def read(cls, typed: str) -> "WeightsChoice":
        """What was typed: `averaged`, `raw`, `averaged@20_000`, `post_hoc@0.1`, `averaged+int8_weight_only`.

        Raises:
            ValueError: it is nothing of these.
        """
        named, plus, quantised = typed.partition("+")
        found = _TYPED.fullmatch(named) if not plus or quantised in QUANTISED else None
        kind, number = (None, None) if found is None else found.groups()
        wanted = {"raw": (False,), "averaged": (False, True), "post_hoc": (True,)}  # whether a number follows
        if (number is not None) not in wanted.get(kind, ()) or (number and not 0 < float(number) < math.inf):
            raise ValueError(f"weights must be {WORDS}, got {typed!r}")
        return cls(kind, None if number is None else float(number), quantised or None)

    def __str__(self) -> str:
        """The one way to write it, as in protocols and names of folders."""
        named = self.kind if self.number is None else f"{self.kind}@{shortest(self.number)}"
        return named if self.quantised is None else f"{named}+{self.quantised}"


def is_choice(typed: str) -> bool:
    """Whether it can be typed as `weights=`."""
    try:
        WeightsChoice.read(typed)
    except ValueError:
        return False
    return True


def shortest(number: float) -> str:
    """A number as short as it can be written without loss; whole ones without a point."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e16 else repr(float(number))
