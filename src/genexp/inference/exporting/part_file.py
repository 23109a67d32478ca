"""One part of a model in one file, with its card beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from genexp.extras import require_extra
from genexp.files.trees import Tree
from genexp.inference.exporting.about import about
from genexp.inference.exporting.card import Card, Release, model_card
from genexp.inference.exporting.graphs import Graph, graph_of
from genexp.inference.exporting.part_formats import PARTS_IN
from genexp.inference.sampler_config import checked_sampler

if TYPE_CHECKING:
    from genexp.inference.run import Run

WriteFile = Callable[["Run", Graph, Tree, Path], tuple[float, list[tuple[str, str]]]]

_NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino")}
_EXTRAS = {"openvino": "openvino"}


class PartFile:
    """A part of a run in a format.

    Args:
        run: The run.
        config: Options of `genexp export`.
        kind: The format, one of `part_formats`.
        release: What is said of it when it is handed on.

    Raises:
        ValueError: what writes the format is not installed, or the model has no such part, or an option is not for it.
    """

    def __init__(self, run: "Run", config: DictConfig, kind: str, release: Release) -> None:
        for library in _NEEDED.get(kind, ()):
            require_extra(library, f"format={kind}", _EXTRAS.get(kind, "export"))
        if "+" in config.weights:
            raise ValueError(f"weights must be as they were trained for format={kind}, got {config.weights}")
        if config.label is not None:
            raise ValueError(f"label must be null for format={kind}, whose label is an input, got {config.label}")
        if config.get("sampler") is not None and config.part != "sampler":
            raise ValueError(f"sampler must be null unless part=sampler, got one for part={config.part or 'null'}")
        self.run, self.config, self.kind, self.release = run, config, kind, release
        self.sampler = None
        if config.part == "sampler":
            self.sampler = checked_sampler(run.config, config.get("sampler"), "export")
        self.graph = graph_of(run, config.part, self.sampler)

    def write(self, folder: Path) -> list[tuple[str, str]]:
        """Write the file and its card into an empty folder.

        Returns:
            What is to be told of it, in rows.

        Raises:
            ValueError: it cannot be written, or gives something else than the run.
        """
        file = folder / PARTS_IN[self.kind]
        sampler = None if self.sampler is None else OmegaConf.to_container(self.sampler, resolve=True)
        content = about(self.run, self.graph, self.release.licence, sampler)
        difference, told = _writer(self.kind)(self.run, self.graph, content, file)
        card = Card(
            f"The {self.graph.part} of a model trained with genexp, in the format {self.kind}. From the same inputs, "
            f"no output differs by more than {difference:.1g}, in units of the larger of 1 and the largest output, "
            "from what the run gives.",
            _LIBRARIES[self.kind],
            _CODE[self.kind].format(feeds=_feeds(content["inputs"])),
            [*_inputs(content), *told],
        )
        (folder / "README.md").write_text(model_card(self.run, card, file, self.release))
        return [("part", self.graph.part), ("largest difference", f"{difference:.1g}"), *told]


def _writer(kind: str) -> WriteFile:
    if kind == "onnx":
        from genexp.inference.exporting.onnx_file import write_onnx

        return write_onnx
    if kind == "openvino":
        from genexp.inference.exporting.openvino_file import write_openvino

        return write_openvino
    from genexp.inference.exporting import torch_files

    return torch_files.write_program if kind == "torch_export" else torch_files.write_weights


def _inputs(content: Tree) -> list[tuple[str, str]]:
    rows = []
    for name, each in content["inputs"].items():
        rows.append((f"input {name}", f"{' x '.join(map(str, each['shape']))}, {each['kind']}: {each['meaning']}"))
    rows.append((f"output {content['output']['name']}", content["output"]["meaning"]))
    return [*rows, *((name, content[name]) for name in ("fingerprinted",) if name in content)]


def _feeds(inputs: Tree) -> str:
    return "{" + ", ".join(f'"{name}": {name}' for name in inputs) + "}"


_LIBRARIES = {"onnx": "onnx", "openvino": "openvino", "torch_export": "pytorch", "safetensors": "safetensors"}
_CODE = {
    "onnx": """import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(output,) = session.run(None, {feeds})  # NumPy arrays, of the shapes above
""",
    "openvino": """import openvino

model = openvino.Core().compile_model("model.xml", "CPU")
output = model({feeds})[0]  # NumPy arrays, of the shapes above
""",
    "torch_export": """import torch

part = torch.export.load("model.pt2").module()
output = part(*{feeds}.values())  # tensors, of the shapes above
""",
    "safetensors": """from safetensors.torch import load_file

weights = load_file("model.safetensors")  # by the names of the run's checkpoint
""",
}
