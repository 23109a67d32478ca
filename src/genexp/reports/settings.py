"""What differs between configurations, with one column for keys that change together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from genexp.files.trees import Tree

Settings = Tree
Pattern = tuple[int | None, ...]


@dataclass(frozen=True)
class Differing:
    """A setting that is not the same everywhere.

    Args:
        key: Its dotted key, or the place of a configuration group.
        followers: Keys that change with it and therefore have no column.
    """

    key: str
    followers: list[str] = field(default_factory=list)


def shown(value: object) -> str:
    """A setting as text; a dash for one that a configuration does not have."""
    if value is ABSENT:
        return NONE
    if value is None:
        return "null"
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


NONE = "–"
ABSENT = object()
"""Stands for a key that a configuration does not have."""


def differing(
    rows: Sequence[Settings], choices: Sequence[Settings], typed: set[str], hidden: set[str]
) -> list[Differing]:
    """The settings that distinguish rows.

    Keys that someone typed have a column. Every other key follows a column if it changes exactly when that one does, or
    lies below a configuration group whose choice settles it; else it has a column too. How the measured images were
    drawn (`evaluation.weights`, `evaluation.sampler`) has one only where the other columns do not settle it.

    Args:
        rows: The settings of each row.
        choices: The chosen configuration groups of each row.
        typed: Keys that were set on a command line.
        hidden: Keys that rows are averaged over.
    """
    groups = {key for chosen in choices for key in chosen}
    merged = [{**settings, **chosen} for settings, chosen in zip(rows, choices, strict=True)]
    patterns = {}
    for key in {key for settings in merged for key in settings} - hidden:
        pattern = _pattern(key, merged)
        if len(set(pattern) - {None}) > 1:
            patterns[key] = pattern
    ordered = sorted(patterns, key=lambda key: (key not in typed, _drawn(key), key not in groups, key.count("."), key))
    found: list[Differing] = []
    for key in ordered:
        if _drawn(key) and _settled(patterns[key], [patterns[each.key] for each in found]):
            continue
        leader = None if key in typed else _leader(key, found, patterns, groups)
        if leader is None:
            found.append(Differing(key))
        else:
            leader.followers.append(key)
    return found


def _drawn(key: str) -> bool:
    return key.startswith("evaluation.")


def _settled(mine: Pattern, others: list[Pattern]) -> bool:
    """Whether rows that agree in all other patterns agree in this one."""
    pairs = {line for line in zip(*others, mine, strict=True) if line[-1] is not None}
    return len({line[:-1] for line in pairs}) == len(pairs)


def _pattern(key: str, rows: Sequence[Settings]) -> Pattern:
    """Which rows share a value: the same number for the same value. `evaluation.` keys are None where not measured."""
    seen: dict[str, int] = {}
    pattern = []
    for settings in rows:
        value = settings.get(key, ABSENT)
        if value is ABSENT and _drawn(key):
            pattern.append(None)
            continue
        text = "" if value is ABSENT else repr(value)
        pattern.append(seen.setdefault(text, len(seen)))
    return tuple(pattern)


def _leader(key: str, found: list[Differing], patterns: dict[str, Pattern], groups: set[str]) -> Differing | None:
    mine = patterns[key]
    for column in found:
        theirs = patterns[column.key]
        pairs = {(a, b) for a, b in zip(theirs, mine, strict=True) if a is not None and b is not None}
        forward = len({a for a, _ in pairs}) == len(pairs)
        if forward and len({b for _, b in pairs}) == len(pairs):
            return column
        below = key.startswith(f"{column.key}.") or column.key == "experiment"
        if forward and column.key in groups and below:
            return column
    return None


def tied(key: str, rows: Sequence[Settings]) -> set[str]:
    """Keys of the same last name that hold the value of `key` in every row, as `data.seed` holds that of `seed`."""
    name = key.rsplit(".", 1)[-1]
    same = {each for settings in rows for each in settings if each == key or each.endswith(f".{name}")}
    return {
        each for each in same if all(settings.get(each, settings.get(key)) == settings.get(key) for settings in rows)
    } | {key}
