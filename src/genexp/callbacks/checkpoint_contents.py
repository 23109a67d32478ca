"""What a checkpoint holds, and a model restored from it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired

from torch import Tensor, nn
from typing_extensions import TypedDict

from genexp.files.json_records import Count
from genexp.files.trees import State

Averaged = Mapping[str, Mapping[str, Tensor]]
"""Weights by their sub-module and name."""


class Counters(TypedDict):
    """How far training has come."""

    images_seen: Count
    batches: Count
    steps: dict[str, Count]


class Owed(TypedDict):
    """What is to be done before the next batch, and how many lines of the journal lie behind."""

    evaluation_owed: bool
    lines: Count | None


class Average(TypedDict):
    """One average of weights, by the name of their sub-module, and how far each has come."""

    modules: dict[str, State]
    images: dict[str, Count]
    steps: dict[str, Count]


class Averages(Average):
    """The first exponential average; where there are several, all their half-lives and the further ones."""

    half_lives: NotRequired[list[float]]
    others: NotRequired[list[Average]]


class AverageSnapshot(TypedDict):
    """A file of power-function averages, and the images seen at the last update of each sub-module."""

    file: str
    digest: str
    images: dict[str, Count]


class PowerFunctionAverages(TypedDict):
    """Power-function averages in the order of their widths, and their snapshots so far."""

    widths: list[float]
    averages: list[Average]
    snapshots: list[AverageSnapshot]


class StoredCheckpoint(TypedDict):
    """A checkpoint's plain containers, as far as they are read by name."""

    counters: Counters
    state_dict: State
    optimizer_states: NotRequired[list[State]]
    callbacks: NotRequired[State]
    averaged: NotRequired[Averages]
    post_hoc: NotRequired[PowerFunctionAverages]
    continuation: NotRequired[Owed]


def restore(model: nn.Module, checkpoint: State, path: Path) -> None:
    """Give a family the weights and counters of a checkpoint.

    Args:
        model: The family, as its configuration builds it.
        checkpoint: Plain containers, as `load_checkpoint` gives them.
        path: Their file, for the error.

    Raises:
        ValueError: the checkpoint is of another model, or lacks something of this one; in one line.
    """
    with _fitting(path):
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])


def put_in_place(model: nn.Module, averages: Averaged, path: Path) -> None:
    """Put averaged weights in the place of a restored family's raw ones.

    Args:
        model: The family.
        averages: State dicts by the name of their sub-module; what they do not hold stays as it is.
        path: The checkpoint, for the error.

    Raises:
        ValueError: they are of another model; in one line.
    """
    with _fitting(path):
        for name, state in averages.items():
            model.get_submodule(name).load_state_dict(state, strict=False)


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise ValueError(f"checkpoint must fit the model, got {path}, which lacks {error}") from error
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:400]
        raise ValueError(f"checkpoint must fit the model, got {path}: {reason}") from error
