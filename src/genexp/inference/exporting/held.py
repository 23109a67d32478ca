"""What a written file gives, held against what the run gives."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from genexp.inference.exporting.graphs import Graph
from genexp.inference.exporting.traced import of_rows

TOLERANCE = 1e-4
"""Largest difference of an output, of the larger of 1 and its largest absolute value."""

OF_ROUNDING, MOST = 4, 1e-3
"""What may differ where the run itself is unsteady: so often what last bits within it change, to this most."""

ROWS = (1, 5)
"""Samples in the calls that are compared; the graph was traced with other numbers."""


@torch.no_grad()
def held_against(graph: Graph, run_file: Callable[[tuple[Tensor, ...]], Tensor], file: Path) -> float:
    """The largest difference between a file's outputs and the model's, with one sample and with several.

    Few steps of strong guidance enlarge every rounding, which is another on every processor. Where a difference is
    above `TOLERANCE`, the run's own outputs are asked what they change by when its inputs and the results of its layers
    change by their last bit, and so often that is what may differ.

    Args:
        graph: What was written.
        run_file: Calls what was written.
        file: Its name, for the error.

    Raises:
        ValueError: they differ by more.
    """
    worst, allowed = 0.0, TOLERANCE
    for rows in ROWS:
        inputs = of_rows(graph, rows)
        wanted, got = graph.call(*inputs), run_file(inputs)
        if got.shape != wanted.shape:
            raise ValueError(f"{file.name} must give {list(wanted.shape)} as the run does, got {list(got.shape)}")
        difference = _between(got, wanted)
        if not difference <= TOLERANCE:
            own = _between(_rounded_otherwise(graph, inputs), wanted)
            allowed = max(TOLERANCE, min(OF_ROUNDING * own, MOST))
        if not difference <= allowed:
            raise ValueError(
                f"{file.name} must give what the run gives, to {allowed:.2g}, got a difference of {difference:.2g}"
            )
        worst = max(worst, difference)
    return worst


def _between(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))


def _rounded_otherwise(graph: Graph, inputs: tuple[Tensor, ...]) -> Tensor:
    """The model's outputs where the last bit of its inputs, and of every tensor that a layer returns, is another."""

    def rounded(layer: nn.Module, given: object, result: object) -> object:
        return _last_bits(result) if isinstance(result, Tensor) else result

    hook = register_module_forward_hook(rounded)
    try:
        return graph.call(*map(_last_bits, inputs))
    finally:
        hook.remove()


def _last_bits(given: Tensor) -> Tensor:
    """Values that are one bit larger or smaller, in turn; whole numbers as they are."""
    if not given.is_floating_point():
        return given
    up = torch.arange(given.numel(), device=given.device).reshape(given.shape) % 2 == 0
    towards = torch.where(up, torch.inf, -torch.inf).to(given.dtype)
    return torch.nextafter(given, towards)
