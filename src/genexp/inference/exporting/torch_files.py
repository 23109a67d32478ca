"""A part of a model as torch.export's archive, or its weights as safetensors; both read again before they count."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from genexp.files.trees import Tree
from genexp.inference.exporting.about import KEY, as_text
from genexp.inference.exporting.graphs import Graph
from genexp.inference.exporting.held import held_against
from genexp.inference.exporting.traced import Traced, traced

if TYPE_CHECKING:
    from genexp.inference.run import Run


def write_program(run: "Run", graph: Graph, content: Tree, file: Path) -> tuple[float, list[tuple[str, str]]]:
    """Write what `torch.export.load` reads; arguments as those of `write_onnx`."""
    torch.export.save(traced(graph, run.model), file, extra_files={f"{KEY}.json": as_text(content)})
    loaded = torch.export.load(file).module()
    return held_against(graph, lambda inputs: loaded(*inputs), file), []


def write_weights(run: "Run", graph: Graph, content: Tree, file: Path) -> tuple[float, list[tuple[str, str]]]:
    """Write the weights that the part needs, by the names of the checkpoint; arguments as those of `write_onnx`.

    They are read into a model whose weights are zeros, and that is held against the run.
    """
    module = Traced(graph, run.model)
    kept = {name: value.contiguous().clone() for name, value in module.state_dict().items()}
    save_file(kept, file, {"format": "pt", KEY: as_text(content)})
    with torch.no_grad():
        wanted = graph.call(*graph.examples)
        for value in module.state_dict().values():
            value.zero_()
        try:
            module.load_state_dict(load_file(file))
            difference = float((graph.call(*graph.examples) - wanted).abs().max())
        finally:
            module.load_state_dict(kept)
    if difference != 0:
        raise ValueError(f"{file.name} must give what the run gives, got a difference of {difference:.2g}")
    return difference, [("tensors", str(len(kept)))]
