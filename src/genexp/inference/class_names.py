"""What the classes of a run are called."""

from typing import TYPE_CHECKING

from genexp.config.instantiate import build

if TYPE_CHECKING:
    from genexp.inference.run import Run


def class_names(run: "Run") -> list[str]:
    """Names of the classes of a run's data in the order of their labels; none where they have no names, or are gone."""
    try:
        data = build(run.data)
        return [str(name) for name in data.classes or data.source.classes or ()]
    except (OSError, ValueError, AttributeError):
        return []
