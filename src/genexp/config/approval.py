"""Data that show people, or whatever else their configuration says: nothing is trained on them without an approval."""

from collections.abc import Iterator

from genexp.config.problems import Problem
from genexp.files.trees import Tree

WORDS = "who, when, why, three parts with commas between them"


def says_all(approval: str) -> bool:
    """Whether a text says who has approved, when, and why: three parts or more, none of them empty."""
    parts = [part.strip() for part in approval.split(",", 2)]
    return len(parts) == 3 and all(parts)


def lacking_approval(plain: Tree) -> Iterator[Problem]:
    """What a configuration of training lacks where its data require an approval.

    Args:
        plain: The configuration as plain containers.
    """
    data = plain.get("data")
    what = data.get("requires_approval") if isinstance(data, dict) else None
    if what is not None and plain.get("approval") is None:
        example = "approval='A. Name, 2026-01-31, study 7 of the ethics board'"
        yield Problem("approval", f"must say {WORDS}, for data that require it ({what}): {example}, got null")
