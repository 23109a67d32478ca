"""Where a run's data, weights and other runs lie, recorded so that a command in any folder finds them. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genexp.config.keys import flat
from genexp.config.quoting import quoted
from genexp.data.scikit_learn_files import PHOTOGRAPHS

_NAMED = ("weights", "folder", "run", "checkpoint")
"""Keys that name a file or a folder: of weights, of a finished run that is a part of this one."""

_WORDS = ("random", "torchvision", "averaged", "raw", "best", "last")
"""What these keys take beside paths."""


def with_absolute_places(plain: object, below: str = "") -> Any:
    """A resolved configuration in which the paths of data, weights and finished runs are absolute.

    These are every `root` below `data`, but not the names of embedded photographs, all of `paths`, and every `weights`,
    `folder`, `run` and `checkpoint` that is the path of something: those keys take words such as `random` too.

    Args:
        plain: Plain containers.
        below: Dotted key under which they stand.
    """
    if isinstance(plain, dict):
        return {key: with_absolute_places(value, f"{below}.{key}".strip(".")) for key, value in plain.items()}
    if isinstance(plain, list):
        return [with_absolute_places(each, below) for each in plain]
    return absolute(plain) if isinstance(plain, str) and _is_place(below, plain) else plain


def absolute(path: str) -> str:
    """A path from the root of the file system, with links in it as they are."""
    return str(Path.cwd() / Path(path).expanduser())


def _is_place(key: str, value: str) -> bool:
    group, last = key.split(".")[0], key.split(".")[-1]
    there = Path(value).expanduser().exists()
    if group == "data" and last == "root":
        return value not in PHOTOGRAPHS or there
    return group == "paths" or (last in _NAMED and value not in _WORDS and there)


def recorded_places(config: object) -> list[str]:
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


def with_recorded_places(overrides: Sequence[str], config: object) -> list[str]:
    """Overrides of a run in which weights and other runs are where its configuration recorded them.

    Args:
        overrides: As they were typed, in a folder that the command may not be in now.
        config: Plain containers.
    """
    recorded = flat(config)
    found = []
    for each in overrides:
        key, value = each.partition("=")[0], recorded.get(each.partition("=")[0].lstrip("+"))
        named = key.split(".")[-1] in _NAMED and isinstance(value, str) and Path(value).is_absolute()
        found.append(f"{key}={quoted(Path(value))}" if named else each)
    return found
