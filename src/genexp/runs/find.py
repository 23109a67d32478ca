"""Which folders are runs: patterns and folders become run folders, and every one that looks like a run is named."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from genexp.config.compose import several
from genexp.runs.records import ENSEMBLE
from genexp.runs.run_folder import CONFIG, RECORD, RunFolder


def find_run_folders(patterns: Iterable[str]) -> list[Path]:
    """All run folders that the patterns lead to, each once, in order of their path.

    Args:
        patterns: Run folders, folders that hold runs at any depth, or glob patterns of either; `outputs/**` is all that
            lies below `outputs`. Of a sweep's job the newest attempt counts, unless another is named.

    Raises:
        FileNotFoundError: a pattern matches nothing that exists.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        for start in _starts(pattern):
            below = (each for each in _below(start) if str(each) == os.path.abspath(pattern) or not is_abandoned(each))
            found |= dict.fromkeys(below)
    return sorted(found)


def require_run_folders(run: object) -> None:
    """Raise FileNotFoundError, before anything heavy is imported, where no run is that a command names."""
    for each in several(run):
        RunFolder.open(each)


def is_abandoned(folder: Path) -> bool:
    """Whether a job of a sweep was begun anew in another folder, as `000_attempt2` beside `000`."""
    name, _, attempt = folder.name.partition("_attempt")
    further = f"{name}_attempt{int(attempt or 1) + 1}"
    return bool(re.fullmatch(r"\d{3,}(_attempt\d+)?", folder.name)) and (folder.parent / further).is_dir()


def looks_like_a_run(names: Iterable[str]) -> bool:
    """Whether a folder with these entries is compared: a run, with a record or a configuration beside checkpoints, or
    several that were measured as one."""
    present = set(names)
    return RECORD in present or ENSEMBLE in present or {CONFIG, "checkpoints"} <= present


def _starts(pattern: str) -> list[Path]:
    text = os.path.expanduser(str(pattern))
    plain = text.removesuffix("/**").removesuffix("/**/*")
    if not glob.has_magic(plain):
        starts = [Path(plain)] if os.path.exists(plain) else []
    else:
        starts = [Path(match) for match in sorted(glob.glob(plain, recursive=True))]
    if not starts:
        raise FileNotFoundError(f"runs must name folders that exist, got {pattern}")
    return [start.resolve() if start.is_dir() else start.resolve().parent for start in starts]


def _below(start: Path) -> Iterator[Path]:
    """Runs in and below a folder; nothing is looked for inside a run."""
    for folder, inner, files in os.walk(start):
        if looks_like_a_run([*inner, *files]):
            inner.clear()
            yield Path(folder)
        else:
            inner[:] = sorted(name for name in inner if not name.startswith("."))
