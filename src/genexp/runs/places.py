"""Where a run's data and weights lie, recorded so that a command in any folder finds them. Imports no torch."""

from pathlib import Path
from typing import Any

from genexp.config.keys import flat
from genexp.config.quoting import quoted
from genexp.data.embedded import PHOTOGRAPHS

_FILES = ("weights", "folder")


def with_absolute_places(plain: Any, below: str = "") -> Any:
    """A resolved configuration in which the paths of data and weights are absolute.

    These are every `root` below `data`, but not the names of embedded photographs, and every `weights` and `folder`
    that is the path of something: those keys take words such as `random` too.

    Args:
        plain: Plain containers.
        below: Dotted key under which they stand.
    """
    if isinstance(plain, dict):
        return {key: with_absolute_places(value, f"{below}.{key}".strip(".")) for key, value in plain.items()}
    if isinstance(plain, list):
        return [with_absolute_places(each, below) for each in plain]
    if not isinstance(plain, str):
        return plain
    group, key = below.split(".")[0], below.split(".")[-1]
    path = Path(plain).expanduser()
    named = plain not in PHOTOGRAPHS or path.exists()
    is_place = (group == "data" and key == "root" and named) or (key in _FILES and path.exists())
    return str(Path.cwd() / path) if is_place else plain


def recorded_places(config: Any) -> list[str]:
    """Overrides that name the data of a recorded configuration where they lay: its own may be relative to a folder.

    Args:
        config: Plain containers.
    """
    places = {
        key: value
        for key, value in flat(config).items()
        if key.startswith("data.") and key.endswith(".root") and isinstance(value, str) and Path(value).is_absolute()
    }
    return [f"{key}={quoted(Path(value))}" for key, value in places.items()]
