"""What a file says of itself: its part, inputs and output, labels, data, weights and licence."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from genexp.files.trees import Tree
from genexp.inference.class_names import class_names
from genexp.inference.exporting.card import data_of, ids_of
from genexp.inference.exporting.graphs import Graph
from genexp.inference.fingerprints import Fingerprinted
from genexp.runs.lineage import lineage
from genexp.runs.stored import read_run

if TYPE_CHECKING:
    from genexp.inference.run import Run

KEY = "genexp"
"""Under which name the text stands in a file's metadata."""
ALONE = ("run", "checkpoint_sha256", "licence", "normalisation", "labels")
"""What stands there under its own name too, for readers that know nothing of genexp."""
FINGERPRINTED = "the weights have the fingerprint of a key, which is not told"


def about(run: "Run", graph: Graph, licence: str | None, sampler: Tree | None) -> Tree:
    """Plain values that say all that a caller has to know, without names of places on this machine.

    Args:
        run: The run.
        graph: What is exported of it.
        licence: As the user gave it, or None.
        sampler: Configuration of the sampler where it is part of the graph.
    """
    stored, labels = read_run(run.folder.path), class_names(run) if "label" in graph.inputs else []
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
        **({"labels": labels} if labels else {}),
        "data": data_of(run, stored),
        "lineage": dict(lineage(stored)),
        "images_seen": run.model.images_seen,
        "weights": run.weights,
        "checkpoint_sha256": run.digest,
        "licence": licence or "not stated",
        **({"fingerprinted": FINGERPRINTED} if isinstance(run, Fingerprinted) else {}),
        **({} if sampler is None else {"sampler": sampler}),
    }


def _sides(shape: Sequence[int], free: Mapping[int, int]) -> list[str | int]:
    return [f"any multiple of {free[axis]}" if axis in free else int(size) for axis, size in enumerate(shape, 1)]


def alone(content: Tree) -> dict[str, str]:
    """What stands in a file's metadata under its own name; a list as JSON."""
    found = {name: content[name] for name in ALONE if name in content}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def as_text(content: Tree) -> str:
    """The text that is written into a file."""
    return json.dumps(content, sort_keys=True)
