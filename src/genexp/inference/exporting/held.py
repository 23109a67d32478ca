"""What a written file gives, held against what the run gives."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from genexp.inference.exporting.graphs import Graph
from genexp.inference.exporting.traced import of_rows

TOLERANCE = 1e-4
"""Largest difference of an output, of the larger of 1 and its largest absolute value."""

ROWS = (1, 5)
"""Samples in the calls that are compared; the graph was traced with other numbers."""


@torch.no_grad()
def held_against(graph: Graph, run_file: Callable[[tuple[Tensor, ...]], Tensor], file: Path) -> float:
    """The largest difference between a file's outputs and the model's, with one sample and with several.

    Args:
        graph: What was written.
        run_file: Calls what was written.
        file: Its name, for the error.

    Raises:
        ValueError: they differ by more than `TOLERANCE`.
    """
    worst = 0.0
    for rows in ROWS:
        inputs = of_rows(graph, rows)
        wanted, got = graph.call(*inputs), run_file(inputs)
        if got.shape != wanted.shape:
            raise ValueError(f"{file.name} must give {list(wanted.shape)} as the run does, got {list(got.shape)}")
        worst = max(worst, float((got - wanted).abs().max()) / max(1.0, float(wanted.abs().max())))
    if not worst <= TOLERANCE:
        raise ValueError(f"{file.name} must give what the run gives, to {TOLERANCE:g}, got a difference of {worst:.2g}")
    return worst
