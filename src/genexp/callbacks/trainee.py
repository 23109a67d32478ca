"""What the callbacks see of a family in training and of the loggers, beside Lightning's own members."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.figures.samples import Figure
from genexp.files.trees import Tree
from genexp.tensors import Grid, IndexedNoise


class LossTerms(Protocol):
    """Means of named loss terms between two lines of the log."""

    def flush(self) -> dict[str, float]:
        """The means since the last call; an error where a term was not finite."""
        ...

    def state(self) -> tuple[list[Tree], Tensor]:
        """The sums since then: names and number of batches of every group, and all totals (terms,)."""
        ...

    def load_state(self, described: list[Tree], totals: Tensor) -> None:
        """Go on with the sums that `state` gave."""
        ...

    def require_finite(self) -> None:
        """Raise an error where a term was not finite."""
        ...


class Trainee(Protocol):
    """A family in training."""

    images_seen: int
    averaged_modules: tuple[str, ...]
    device: torch.device
    terms: LossTerms

    def source(self) -> object:
        """The object a sampler draws from."""
        ...

    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Pictures beside the samples, of held-out samples."""
        ...

    def steps_of(self, module: str) -> int:
        """Optimiser steps taken so far by the update that owns the sub-module `module`."""
        ...

    def get_submodule(self, target: str) -> torch.nn.Module:
        """The sub-module of a dotted name."""
        ...

    def validation_means(self) -> dict[str, float]:
        """Held-out means since the last call."""
        ...

    def learning_rates(self) -> dict[str, float]:
        """The current learning rates, named for the log."""
        ...

    def reduced(self, means: dict[str, float]) -> dict[str, float]:
        """Host values averaged over the ranks."""
        ...


@runtime_checkable
class PictureLogger(Protocol):
    """A logger that takes pictures."""

    def log_picture(self, key: str, grid: Grid | Figure, step: int, caption: str = "") -> None:
        """Keep one picture under a fixed key."""
        ...


@runtime_checkable
class EvaluationLogger(Protocol):
    """A logger that keeps values with all that they mean."""

    def log_evaluations(self, records: Mapping[str, Mapping[str, Any]], step: int) -> None:
        """Keep the record of every value by its key, measured after `step` training images."""
        ...
