"""What can be wrong with a configuration. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the dotted key, what is wrong with it, and where it was set."""

    key: str
    message: str
    origin: str | None = None

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" + (f" (set by {self.origin})" if self.origin else "")


class InvalidConfig(ValueError):
    """A configuration that names things the code does not have."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("the configuration is not valid:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems
