"""A part of a model as an ONNX file, held against the run by onnxruntime."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genexp.files.trees import Tree
from genexp.inference.exporting.about import KEY, alone, as_text
from genexp.inference.exporting.folding import folded
from genexp.inference.exporting.graphs import Graph
from genexp.inference.exporting.held import held_against
from genexp.inference.exporting.tensorrt import trtexec, unsupported
from genexp.inference.exporting.traced import dynamic_shapes, quietly, traced

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.export import ExportedProgram

    from genexp.inference.run import Run

OPSET = 20
"""Version of the operators: the newest that all of onnxruntime, OpenVINO and TensorRT 10 read."""


def write_onnx(run: "Run", graph: Graph, content: Tree, file: Path) -> tuple[float, list[tuple[str, str]]]:
    """Write one file with the weights inside.

    Args:
        run: The run.
        graph: What is written of it.
        content: What the file says of itself, see `about`.
        file: Where it goes.

    Returns:
        The largest difference to the run, and lines on the file.

    Raises:
        ValueError: an operator cannot be written or run, named with its module, or outputs differ.
    """
    import onnx

    with quietly():
        program = folded(traced(graph, run.model), graph.examples, dynamic_shapes(graph))
    _convert(graph, program, file)
    written = onnx.load(file)
    for name, value in {KEY: as_text(content), **alone(content)}.items():
        entry = written.metadata_props.add()
        entry.key, entry.value = name, value
    onnx.checker.check_model(written)
    onnx.save(written, file)
    difference = held_against(graph, _caller(written, file), file)
    lacking = unsupported(node.op_type for node in written.graph.node)
    ready = f"no operator of its list of unsupported ones; {trtexec(graph, file.name)}"
    told = f"has no layer for {', '.join(lacking)}" if lacking else ready
    return difference, [("opset", str(_opset(written))), ("TensorRT", told)]


def _convert(graph: Graph, program: "ExportedProgram", file: Path) -> None:
    try:
        with quietly():
            torch.onnx.export(
                program,
                f=file,
                input_names=list(graph.inputs),
                output_names=[graph.output],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        raise ValueError(_lacking(error, program)) from error


def _opset(written: "ModelProto") -> int:
    return next(each.version for each in written.opset_import if not each.domain)


def _lacking(error: BaseException, program: "ExportedProgram") -> str:
    """Which operator has no ONNX function, and where it stands."""
    causes, each = [], error
    while each is not None:
        causes.append(str(each))
        each = each.__cause__
    found = re.search(r"No ONNX function found for <?OpOverload\(op='([\w.:]+)'", "\n".join(causes))
    if found is None:
        return f"format=onnx cannot write the part: {causes[-1].strip().splitlines()[0]}"
    name = found[1].replace("::", ".")
    nodes = program.run_decompositions().graph.nodes
    places = [node for node in nodes if str(node.target).startswith(name)]
    stack = list((places[0].meta.get("nn_module_stack") or {}).values()) if places else []
    place = stack[-1][0] if stack and stack[-1][0] else "the part itself"
    return f"format=onnx has no operator for {name}, which {place} uses"


def _caller(written: "ModelProto", file: Path) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """What calls a file by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        found = re.search(r"implementation for (\w+)\(\d+\) node with name '([^']*)'", str(error))
        if found is None:
            raise ValueError(f"onnxruntime cannot read the part: {str(error).splitlines()[0]}") from error
        raise ValueError(f"onnxruntime has no {found[1]} as {_module(written, found[2])} uses it") from error
    names = [each.name for each in session.get_inputs()]

    def call(inputs: tuple[Tensor, ...]) -> Tensor:
        return torch.from_numpy(session.run(None, dict(zip(names, (each.numpy() for each in inputs))))[0])

    return call


def _module(written: "ModelProto", node: str) -> str:
    """The innermost module of a node, as the exporter notes it."""
    for each in written.graph.node:
        if each.name == node:
            notes = {entry.key: entry.value for entry in each.metadata_props}
            scopes = re.findall(r"'([^']+)'", notes.get("pkg.torch.onnx.name_scopes", ""))
            return next((scope for scope in reversed(scopes[:-1]) if scope), "the part itself")
    return "the part itself"
