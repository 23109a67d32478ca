"""Paths and texts as values of overrides, which have rules of their own for quotes."""

import re
from pathlib import Path

_KEYS = ("run", "resume", "run_dir", "runs", "out", "publish", "generated", "reference", "content", "style")
_PLAIN = re.compile(r"[\w./\\:*?+@%-]*|[\[{'\"$].*|glob\(.*", re.ASCII)
"""What Hydra's grammar reads as it is: plain characters, lists, quotes, interpolations and patterns."""


def path_quoted(argument: str) -> str:
    """An argument that names a path, with quotes where Hydra's grammar would stumble over its letters."""
    key, equals, value = argument.partition("=")
    named = key in _KEYS or key.startswith("paths.") or key == "data.source.root"
    return f"{key}={quoted(Path(value))}" if equals and named and not _PLAIN.fullmatch(value) else argument


def quoted(path: Path) -> str:
    """A path as the value of an override, whatever characters it has."""
    text = str(path)
    return text if re.fullmatch(r"[\w/.+-]+", text, re.ASCII) else quoted_text(text)


def quoted_text(text: str) -> str:
    """A text as the value of an override, in quotes."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), text)
    return f"'{escaped}'"


def unquoted(value: str) -> str:
    """A path from the value of an override, quoted or not."""
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "'\"":
        return value
    return re.sub(rf"(\\+)({value[0]}|$)", lambda found: found[1][: len(found[1]) // 2] + found[2], value[1:-1])
