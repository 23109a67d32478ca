"""What a checkpoint holds, and a model restored from it."""

from pathlib import Path
from typing import Any, NotRequired

from torch import nn
from typing_extensions import TypedDict

from genexp.files.json_records import Count


class Counters(TypedDict):
    """How far training has come."""

    images_seen: Count
    batches: Count
    steps: dict[str, Count]


class Owed(TypedDict):
    """What is to be done before the next batch, and how many lines of the journal lie behind."""

    evaluation_owed: bool
    lines: Count | None


class Averages(TypedDict):
    """Averaged weights by the name of their sub-module."""

    modules: dict[str, dict[str, Any]]


class StoredCheckpoint(TypedDict):
    """A checkpoint's plain containers, as far as they are read by name."""

    counters: Counters
    state_dict: dict[str, Any]
    optimizer_states: NotRequired[list[dict[str, Any]]]
    callbacks: NotRequired[dict[str, Any]]
    averaged: NotRequired[Averages]
    continuation: NotRequired[Owed]


def restore(model: nn.Module, checkpoint: dict[str, Any], path: Path, averaged: bool = False) -> None:
    """Give a family the weights and counters of a checkpoint.

    Args:
        model: The family, as its configuration builds it.
        checkpoint: Plain containers, as `load_checkpoint` gives them.
        path: Their file, for the error.
        averaged: Put averaged weights in place of the raw ones where there are any.

    Raises:
        ValueError: the checkpoint is of another model, or lacks something of this one; in one line.
    """
    try:
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])
        stored = checkpoint.get("averaged", {"modules": {}})["modules"] if averaged else {}
        for name, state in stored.items():
            model.get_submodule(name).load_state_dict(state, strict=False)
    except KeyError as error:
        raise ValueError(f"checkpoint must fit the model, got {path}, which lacks {error}") from error
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:400]
        raise ValueError(f"checkpoint must fit the model, got {path}: {reason}") from error
