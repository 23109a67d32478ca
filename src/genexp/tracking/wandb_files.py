"""The files that W&B's offline runs leave in a run folder: which of them there are to upload."""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

_SUPERSEDED = "superseded"
_BLOCK = 32 * 1024


def recorded(directory: Path, run_id: str) -> list[Path]:
    """The folders of what was recorded offline of a W&B run, in order of time.

    Args:
        directory: The run folder.
        run_id: W&B id of the run.
    """
    return sorted((directory / "wandb").glob(f"offline-run-*-{run_id}"))


def is_uploaded(folder: Path) -> bool:
    """Whether `wandb sync` has uploaded what was recorded in a folder: it leaves a mark there."""
    return any(folder.glob("*.wandb.synced"))


def set_aside(folders: list[Path]) -> None:
    """Move recorded folders to `superseded/` beside them, where nothing names them for upload any more."""
    for folder in folders:
        target = folder.parent / _SUPERSEDED / folder.name
        target.parent.mkdir(exist_ok=True)
        os.replace(folder, target)


PATIENCE = 10.0
"""Seconds that W&B's own process, which writes the file, may still need once it has said that the run is finished."""


def is_whole(folder: Path) -> bool:
    """Whether what was recorded in a folder reaches to the run's end; W&B does not say that it could not write."""
    deadline = time.monotonic() + PATIENCE
    while not _reaches_its_end(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _reaches_its_end(folder: Path) -> bool:
    """Whether a file holds the record of the run's exit.

    A file is in the format of LevelDB's log: a header of 7 bytes, then blocks of 32 KiB of pieces of records. Each has
    a checksum (4 bytes), a length (2), a kind (1: a whole record, 2, 3, 4: its first, further and last piece), content.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    ended = False
    for path in folder.glob("*.wandb"):
        for content in _records(path.read_bytes()):
            ended |= Record.FromString(content).WhichOneof("record_type") == "exit"
    return ended


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a file up to where it is cut."""
    at, record = 7, b""
    while at + 7 <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        piece = content[at + 7 : at + 7 + length]
        if kind not in (1, 2, 3, 4) or len(piece) < length:
            return
        record = piece if kind in (1, 2) else record + piece
        at += 7 + length
        if kind in (1, 4):
            yield record
