"""What can be wrong with a configuration. Imports nothing heavy."""

from collections.abc import Iterable
from dataclasses import dataclass

from genexp.terminal import nearest


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the dotted key, what is wrong with it, and where it was set.

    `of_value` says that the value is wrong, which may come from elsewhere, rather than the key.
    """

    key: str
    message: str
    origin: str | None = None
    of_value: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" + (f" (set by {self.origin})" if self.origin else "")


class InvalidConfig(ValueError):
    """A configuration that names things the code does not have."""

    def __init__(self, problems: list[Problem]) -> None:
        lines = [str(problem) for problem in problems]
        super().__init__(lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} keys are not valid:", *lines]))
        self.problems = problems


def did_you_mean(word: str, known: Iterable[object], listed: bool = True) -> str:
    """`; did you mean X?` for the nearest known name, or the list of names when there are few.

    Args:
        word: What was typed.
        known: All names.
        listed: Whether to list them where none is near.
    """
    names = sorted(name for name in map(str, known) if not name.startswith("__"))
    if (close := nearest(word, names)) is not None:
        return f"; did you mean {close}?"
    return f"; known: {', '.join(names)}" if listed and 0 < len(names) <= 24 else ""
