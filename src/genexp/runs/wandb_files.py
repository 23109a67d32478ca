"""The files that W&B's offline runs leave in a run folder: which of them there are to upload."""

import os
from pathlib import Path

_SUPERSEDED = "superseded"


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
