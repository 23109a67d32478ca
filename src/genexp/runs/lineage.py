"""Where the weights of a run come from: runs and files, through all generations. Imports no torch."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from genexp.runs.run_folder import DamagedRun, RunFolder
from genexp.runs.stored import StoredRun
from genexp.runs.trust import wrote_run

MOST = 8
"""Generations that are followed."""


def lineage(run: StoredRun) -> list[tuple[str, str]]:
    """What a run was made with, by part: `initial` and `base k3v9xq2a, weights 0123456789ab`.

    In brackets stands what that one was made with, and so on, as far as the folders are there. Places that another
    user's run names are told and not opened.
    """
    return _parts(run.folder, run.record, MOST) + _file(run.settings)


def _parts(folder: RunFolder, record: Mapping[str, Any], generations: int) -> list[tuple[str, str]]:
    found, ours = [], wrote_run(dict(record), folder.path)
    for key, part in sorted((record.get("parts") or {}).items()):
        place = part.get("run") or part.get("folder")
        if place is not None:
            before = _before(place, generations) if ours else None
            name, further = before or (PurePath(place).name, [])
            digest = f", weights {part['digest']}" if part.get("digest") else ""
            found.append((key, f"{name}{digest}" + (f" ({'; '.join(further)})" if further else "")))
    return found


def _before(place: str, generations: int) -> tuple[str, list[str]] | None:
    """Name of the run of a place and what it was made with; None where no run is there."""
    try:
        folder = RunFolder.open(place)
        record = folder.record
        parts = _parts(folder, record, generations - 1) if generations > 1 else []
    except (DamagedRun, OSError, ValueError):
        return None
    cut = ["..."] if generations == 1 and record.get("parts") else []
    return f"{record.get('name')} {record.get('id')}", [f"{key}: {told}" for key, told in parts] + cut


def _file(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The file or the shipped weights that a run began with."""
    if settings.get("initial.run") is not None:
        return []
    if settings.get("initial.asset") is not None:
        return [("initial", f"{settings['initial.asset']}, which genexp ships")]
    if settings.get("initial.weights") is None:
        return []
    digest = settings.get("initial.digest")
    return [("initial", PurePath(str(settings["initial.weights"])).name + (f", weights {digest}" if digest else ""))]
