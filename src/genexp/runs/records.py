"""The records of a run, each read here and nowhere else; damage is told in one line. Imports no torch."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp.config.keys import flat
from genexp.config.renamed import renamed, todays
from genexp.files.changing import CHANGING, place_of
from genexp.files.json_records import DamagedFile, each_key_once, is_there, open_regular, read_json, reason_of
from genexp.files.trees import Tree
from genexp.files.yaml_records import read_yaml_record
from genexp.runs.record_types import Best, Closing, EnsembleRecord, RunConfig, RunRecord
from genexp.runs.trust import seal_breaks

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG, OVERRIDES, RECORD, JOURNAL = "config.yaml", "overrides.yaml", "run.json", "metrics.jsonl"
METRICS, BEST = "metrics.json", "checkpoints/best.json"
AUGMENTED = "augment.json"
"""What stands in a folder of pictures that `genexp augment` has written."""
ENSEMBLE = "ensemble.json"
"""What stands in the folder of several runs that were measured as one, where a run has its `run.json`."""


class DamagedRun(DamagedFile):
    """A folder looks like a run, but a file in it cannot be read, or holds what no run writes there."""


def read_record(run: Path) -> Tree:
    """What `run.json` says.

    Raises:
        DamagedRun: the file cannot be read, or is none that a run writes.
    """
    return _read(run, RECORD, RunRecord)


def read_ensemble(folder: Path) -> Tree:
    """What `ensemble.json` says; errors as `read_record`."""
    return _read(folder, ENSEMBLE, EnsembleRecord)


def read_config(run: Path) -> Tree:
    """The resolved configuration, as plain containers, under today's keys and names; errors as `read_record`."""
    return renamed(_read(run, CONFIG, RunConfig))


def load_recorded(path: Path) -> "DictConfig":
    """The configuration that a run recorded: complete, and with every interpolation carried out.

    Args:
        path: The run's `config.yaml`.

    Raises:
        DamagedRun: the file cannot be read, or is none that a run writes.
        ValueError: an interpolation stands there, which would read this user's environment.
    """
    from omegaconf import OmegaConf

    plain = read_config(path.parent)
    for key, value in flat(plain).items():
        if "${" in str(value):
            raise ValueError(f"config.yaml of a run must hold no interpolation, got {key}: {value} in {path}")
    return OmegaConf.create(plain)


def read_overrides(run: Path) -> list[str]:
    """The overrides as they were typed, under today's keys.

    Raises:
        DamagedRun: as `read_record`; also where the file is another one than `run.json` describes.
    """
    overrides = _read(run, OVERRIDES, list[str])
    if seal_breaks(read_record(run), overrides):
        raise DamagedRun(f"{OVERRIDES} of the run {run} must be as the run wrote it, whose digest is in {RECORD}")
    return [each for typed in overrides for each in todays(typed)]


def read_metrics(run: Path) -> Tree:
    """The closing values, empty before a run has ended; errors as `read_record`."""
    return _read(run, METRICS, Closing) if is_there(run / METRICS) else {}


def read_best(run: Path) -> Tree | None:
    """The best evaluation so far, or None where none is kept; errors as `read_record`."""
    return _read(run, BEST, Best) if is_there(run / BEST) else None


def read_journal(run: Path) -> list[dict[str, float]]:
    """All logged lines in order, each with `images_seen`; a torn last line is left out.

    Raises:
        DamagedRun: another line is none that a run logs, or repeats the one before it.
    """
    path = run / JOURNAL
    if not is_there(path):
        return []
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            lines = file.readlines()
    except (OSError, ValueError) as error:
        raise DamagedRun(f"{JOURNAL} of the run {run} cannot be read: {reason_of(error)}") from error
    rows = [None if i and lines[i - 1] == line else journal_row(line) for i, line in enumerate(lines)]
    if rows and rows[-1] is None and not lines[-1].endswith(b"\n"):
        rows.pop()
    if None in rows:
        rule = "must hold numbers and images_seen in every line but a torn last one, and no line twice"
        got = f"got another in line {rows.index(None) + 1} of {len(lines)}; nothing was changed"
        raise DamagedRun(f"{JOURNAL} of the run {run} {rule}, {got}")
    return rows


def journal_row(line: bytes) -> Tree | None:
    """A line of the journal: numbers by name, with `images_seen`; None for what is none."""
    try:
        row = json.loads(line, object_pairs_hook=each_key_once)
    except (ValueError, RecursionError):
        return None
    numbers = isinstance(row, dict) and all(type(value) in (int, float) for value in row.values())
    return row if numbers and 0 <= row.get("images_seen", -1) < 2**63 else None


def require_readable(run: Path) -> None:
    """Read every record, so that a damaged one is told before anything is done with the run.

    Raises:
        DamagedRun: one cannot be read, or the record does not say which run it is of.
    """
    require_named(run, read_record(run))
    if is_there(run / OVERRIDES):
        read_overrides(run)
    for read in (read_config, read_metrics, read_best, read_journal):
        read(run)


def require_named(run: Path, record: Tree) -> None:
    """Refuse a record that does not say which run it is of.

    Raises:
        DamagedRun: it does not.
    """
    for key in ("id", "name"):
        if key not in record:
            raise DamagedRun(f"{RECORD} of the run {run} must be as genexp writes it: {key}: it is missing")


def _read(run: Path, name: str, shape: object) -> Any:
    read = read_json if name.endswith(".json") else read_yaml_record
    path = place_of(run, name)
    try:
        return read(path, shape, f" of the run {run}")
    except DamagedFile as error:
        if path.parent.name == CHANGING and not path.exists():  # put in its place in this very moment
            return _read(run, name, shape)
        raise DamagedRun(str(error)) from error
