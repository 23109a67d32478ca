"""The values of a run with all that they mean: `evaluations.jsonl`, written alike by training and `genexp evaluate`.

A line is a value: its key, the number, which direction is better, its uncertainty, what real images reach, the record
of its protocol, who measured it and how many training images the model had seen. Imports no torch.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from genexp.files.json_records import DamagedFile, each_key_once, is_there, open_regular, reason_of, require_shape
from genexp.files.trees import Tree
from genexp.files.writing import naming, write_atomically
from genexp.runs.record_types import Evaluation
from genexp.runs.records import DamagedRun
from genexp.runs.run_folder import RunFolder

EVALUATIONS = "evaluations.jsonl"
TRAINING, EVALUATE = "training", "evaluate"


def keep_evaluations(
    folder: RunFolder, values: Mapping[str, Mapping[str, Any]], source: str, subject: Mapping[str, Any]
) -> None:
    """Add values to a run's record of them.

    Args:
        folder: The run.
        values: The record of every value by its key, see `genexp.evaluation.scores.Score.record`.
        source: `training` or `evaluate`.
        subject: What was measured: `images_seen`, and further keys.
    """
    lines = [json.dumps({"key": key, **each, "source": source, **subject}) + "\n" for key, each in values.items()]
    path = folder.path / EVALUATIONS
    with folder.held(), naming(path):
        _drop_torn(path)
        with open(path, "a") as file:
            file.write("".join(lines))


def _drop_torn(path: Path) -> None:
    """Let a file end with its last whole line: what a kill has left of another is no value."""
    if not path.is_file():
        return
    with open(path, "rb+") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            block = file.read(end - begin)
            if end == size and block.endswith(b"\n"):
                return
            if b"\n" in block:
                file.truncate(begin + block.rindex(b"\n") + 1)
                return
            end = begin
        file.truncate(0)


_BLOCK = 65536
"""Bytes that are looked through at a time, from the end of the file."""


def read_evaluations(folder: RunFolder) -> list[Tree]:
    """Every value once, in order; of one that was measured again in the same way the last; no torn last line.

    Raises:
        DamagedRun: another line is none that genexp writes.
    """
    known: dict[str, Tree] = {}
    for row in (row for _, row in _lines(folder) if row is not None):
        same = [row.get(name) for name in ("source", "key", "images_seen", "protocol")]
        known[json.dumps(same, sort_keys=True)] = row
    return list(known.values())


def newest_of_training(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The record of the newest value of every key that a run has measured itself."""
    return {row["key"]: row for row in sorted(rows, key=_age) if row["source"] == TRAINING}


def _age(row: Mapping[str, Any]) -> int:
    return row.get("images_seen", 0)


def rewind_evaluations(folder: RunFolder, keeps: Callable[[int], bool]) -> None:
    """Drop what a run measured itself beyond a checkpoint; values of `genexp evaluate` stay.

    Args:
        folder: The run.
        keeps: Whether a value that was measured after so many training images lies behind the checkpoint.

    Raises:
        DamagedRun: as `read_evaluations`; nothing is dropped then.
    """
    if not is_there(folder.path / EVALUATIONS):
        return
    with folder.held():
        rows = [(line, row) for line, row in _lines(folder) if row is not None]
        kept = [line for line, row in rows if row["source"] != TRAINING or keeps(_age(row))]
        write_atomically(folder.path / EVALUATIONS, b"".join(kept))


def _lines(folder: RunFolder) -> list[tuple[bytes, Tree | None]]:
    """Every line with what it holds; None for a last one that is torn."""
    path = folder.path / EVALUATIONS
    if not is_there(path):
        return []
    where = f"{EVALUATIONS} of the run {folder.path}"
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            lines = file.readlines()
        return [(line, _row(line, f"line {i} of {where}")) for i, line in enumerate(lines, 1)]
    except DamagedFile as error:
        raise DamagedRun(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedRun(f"{where} cannot be read: {reason_of(error)}") from error


def _row(line: bytes, where: str) -> Tree | None:
    try:
        content = json.loads(line, object_pairs_hook=each_key_once)
    except (ValueError, RecursionError) as error:
        if line.endswith(b"\n"):
            raise DamagedFile(f"{where} cannot be read: {reason_of(error)}") from error
        return None
    return require_shape(content, Evaluation, where)
