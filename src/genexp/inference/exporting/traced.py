"""A graph traced by torch.export, with the weights it needs and any number of samples."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.modules.module import register_module_forward_pre_hook

from genexp.inference.exporting.folding import Shapes
from genexp.inference.exporting.graphs import Graph


class Traced(nn.Module):
    """A graph as a module that holds those children of the model, and further modules, which the graph calls.

    Args:
        graph: What is called.
        model: The model it is of.
    """

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        super().__init__()
        self.call = graph.call
        for name, module in _called(graph, model).items():
            self.add_module(name, module)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The output of the graph."""
        return self.call(*inputs)


@torch.no_grad()
def _called(graph: Graph, model: nn.Module) -> dict[str, nn.Module]:
    """The children of a model that a graph calls, by name, and what it calls that is none of the model's."""
    seen: dict[int, nn.Module] = {}
    hook = register_module_forward_pre_hook(lambda module, _: seen.setdefault(id(module), module) and None)
    try:
        graph.call(*graph.examples)
    finally:
        hook.remove()
    own = {name: child for name, child in model.named_children() if any(id(each) in seen for each in child.modules())}
    known = {id(each) for child in own.values() for each in child.modules()}
    further: list[nn.Module] = []
    for module in seen.values():
        if id(module) not in known:
            further.append(module)
            known |= {id(each) for each in module.modules()}
    return own | {f"further_{number}": module for number, module in enumerate(further)}


def traced(graph: Graph, model: nn.Module) -> ExportedProgram:
    """The graph of a model as torch.export writes it, for any number of samples.

    Raises:
        ValueError: it cannot be traced; names the module and what stands in the way.
    """
    module, shapes = Traced(graph, model).eval(), {"inputs": dynamic_shapes(graph)}
    try:
        with torch.no_grad(), quietly():
            return torch.export.export(module, graph.examples, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        place = _place(error, module)
        raise ValueError(
            f"part={graph.part} cannot be traced by torch.export, in {place}: {str(error).strip().splitlines()[0]}"
        ) from error


def dynamic_shapes(graph: Graph) -> Shapes:
    """Which axes of every input may differ, as torch.export is told."""
    batch = Dim("batch")
    return tuple(
        {0: batch} | {axis: of * Dim(f"side_{axis}") for axis, of in each.free.items()}
        for each in graph.inputs.values()
    )


def _place(error: BaseException, module: nn.Module) -> str:
    """The innermost named module that was being called when an error rose, or the part itself."""
    names = {id(each): name for name, each in module.named_modules() if name}
    found = [names[id(each)] for each in _selves(error) if id(each) in names]
    return f"module {found[-1]}" if found else "the part itself"


def _selves(error: BaseException) -> Iterator[object]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_locals.get("self")
        trace = trace.tb_next


def of_rows(graph: Graph, rows: int) -> tuple[Tensor, ...]:
    """Inputs of a graph with another number of rows and other values than its examples: those in another order."""
    place = torch.arange(rows - 1, -1, -1) % len(graph.examples[0])
    return tuple(each[place] for each in graph.examples)


@contextmanager
def quietly() -> Iterator[None]:
    """Without what exporters print of their own progress, and of whole graphs where they fail."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
