"""A part of a model as OpenVINO's pair of files, made of its ONNX file and held against the run."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genexp.files.trees import Tree
from genexp.inference.exporting.about import KEY, as_text
from genexp.inference.exporting.graphs import Graph
from genexp.inference.exporting.held import held_against
from genexp.inference.exporting.onnx_file import write_onnx
from genexp.inference.exporting.traced import of_rows

if TYPE_CHECKING:
    from genexp.inference.run import Run

TIMED = 32
"""Samples in the calls that are timed."""


def write_openvino(run: "Run", graph: Graph, content: Tree, file: Path) -> tuple[float, list[tuple[str, str]]]:
    """Write `model.xml` and `model.bin`; arguments as those of `write_onnx`."""
    import openvino

    before = file.with_suffix(".onnx")
    write_onnx(run, graph, content, before)
    model = openvino.convert_model(before)
    before.unlink()
    model.set_rt_info(as_text(content), [KEY])
    openvino.save_model(model, file, compress_to_fp16=False)
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(file, "CPU", settings)

    def call(inputs: tuple[Tensor, ...]) -> Tensor:
        return torch.from_numpy(compiled([each.numpy() for each in inputs])[0].copy())

    difference = held_against(graph, call, file)
    inputs = of_rows(graph, TIMED)
    theirs, ours = _seconds(lambda: call(inputs)), _seconds(lambda: graph.call(*inputs))
    told = f"{TIMED / theirs:,.0f} samples/s, PyTorch {TIMED / ours:,.0f}, {torch.get_num_threads()} threads"
    return difference, [("speed on this CPU", told)]


@torch.no_grad()
def _seconds(call: Callable[[], object]) -> float:
    """Fastest of three calls, after one."""
    call()
    found = []
    for _ in range(3):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return min(found)
