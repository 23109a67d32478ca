"""What a file says of itself: its part, inputs and output, labels, data, weights and licence."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from genexp.files.trees import Tree
from genexp.inference.exporting.card import data_of, ids_of
from genexp.inference.exporting.graphs import Graph
from genexp.runs.lineage import lineage
from genexp.runs.stored import read_run

if TYPE_CHECKING:
    from genexp.inference.run import Run

KEY = "genexp"
"""Under which name the text stands in a file's metadata."""


def about(run: "Run", graph: Graph, licence: str | None, sampler: Tree | None) -> Tree:
    """Plain values that say all that a caller has to know, without names of places on this machine.

    Args:
        run: The run.
        graph: What is exported of it.
        licence: As the user gave it, or None.
        sampler: Configuration of the sampler where it is part of the graph.
    """
    stored = read_run(run.folder.path)
    return {
        "run": ids_of(run),
        "name": stored.name,
        "part": graph.part,
        "inputs": {
            name: {
                "shape": ["batch", *_sides(each.example.shape[1:], each.free)],
                "kind": str(each.example.dtype).removeprefix("torch."),
                "meaning": each.meaning,
            }
            for name, each in graph.inputs.items()
        },
        "output": {"name": graph.output, "meaning": graph.meaning},
        "normalisation": "pixels are level / 127.5 - 1 of levels 0 to 255",
        "data": data_of(run, stored),
        "lineage": dict(lineage(stored)),
        "images_seen": run.model.images_seen,
        "weights": run.weights,
        "checkpoint_sha256": run.digest,
        "licence": licence or "not stated",
        **({} if sampler is None else {"sampler": sampler}),
    }


def _sides(shape: Sequence[int], free: Mapping[int, int]) -> list[str | int]:
    return [f"any multiple of {free[axis]}" if axis in free else int(size) for axis, size in enumerate(shape, 1)]


def as_text(content: Tree) -> str:
    """The text that is written into a file."""
    return json.dumps(content, sort_keys=True)
