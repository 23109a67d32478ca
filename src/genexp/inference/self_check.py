"""genexp evaluate self_check=true: what metrics and features make of real images and of images with known faults."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.files.trees import Tree

if TYPE_CHECKING:
    import torch

    from genexp.evaluation.canaries import RealImages
    from genexp.evaluation.evaluator import Reference
    from genexp.evaluation.scores import Score
    from genexp.inference.prepare import Measuring

Scores = dict[str, "Score"]


def self_check(config: DictConfig, device: "torch.device") -> None:
    """Measure held-out real images and every canary; say where a metric moves otherwise than its card says.

    Raises:
        SystemExit: with status 1, when a metric moved otherwise.
        ValueError: bad images, or too few for a metric.
    """
    import torch

    from genexp.evaluation.canaries import RealImages
    from genexp.evaluation.dealing import random_parts
    from genexp.inference.prepare import prepare

    config.pictures = 0
    measuring = prepare(config, None, device)
    pairs = [name for name, metric in measuring.evaluator.metrics.items() if metric.kind == "pairs"]
    if pairs:
        raise ValueError(f"metrics of a self-check must compare sets of images, got {', '.join(pairs)}")
    reference = RealImages.gathered(measuring.side.images.batches())
    held_out = RealImages.gathered((measuring.floor_side or measuring.side).images.batches())
    if measuring.floor_side is None:  # one set only: its two halves are compared
        half = random_parts(torch.arange(len(held_out.image)), 2)
        held_out, reference = held_out.at((half == 1).nonzero()[:, 0]), reference.at((half == 0).nonzero()[:, 0])
        measuring.reference = _prepared(measuring, reference, "a random half")
    values = _all_scores(measuring, held_out, reference, device)
    verdicts = {name: _verdicts(measuring, values["real"], scores) for name, scores in values.items()}
    folder = Path(config.out or f"{config.paths.outputs}/evaluations/{time.strftime('%Y-%m-%d_%H-%M-%S')}")
    _write(folder, values, verdicts)
    _report(values, verdicts, folder)
    if any(not verdict["as_expected"] for row in verdicts.values() for verdict in row.values()):
        sys.exit(1)


def _prepared(measuring: "Measuring", images: "RealImages", note: str) -> "Reference":
    """Images as the reference of all metrics."""
    side = measuring.side.images
    digest = f"{side.digest}, {note}"
    return measuring.evaluator.reference(replace(side, digest=digest, count=len(images.image), batches=images.batches))


def _all_scores(
    measuring: "Measuring", held_out: "RealImages", reference: "RealImages", device: "torch.device"
) -> dict[str, Scores]:
    """Scores of the held-out images, of every canary, and of the held-out images against a faulty reference.

    The last, `swapped`, is collapse with the sides exchanged: what asks whether images look real must see it, and what
    asks whether all real images are found must not.
    """
    from genexp.evaluation.canaries import CANARIES, collapse
    from genexp.evaluation.scores import Generated

    values: dict[str, Scores] = {}
    for name, fault in {"real": lambda held_out, reference: held_out, **CANARIES, "swapped": None}.items():
        images = held_out if fault is None else fault(held_out, reference)
        if images is None:
            continue
        batches = [{k: v.to(device) for k, v in batch.items()} for batch in images.batches()]
        summary = measuring.evaluator.summarise(batches)
        generated = Generated(len(images.image), 0, "none", f"self-check: {name}")
        against = _prepared(measuring, collapse(reference, reference), "collapsed") if fault is None else None
        values[name] = measuring.evaluator.scores(summary, against or measuring.reference, generated)
    return values


def _verdicts(measuring: "Measuring", real: Scores, scores: Scores) -> dict[str, Tree]:
    """How each value moved against real images, what its metric's card says, and whether the two agree."""
    from genexp.evaluation.canaries import moved

    canary = next(iter(scores.values())).protocol.sampler.removeprefix("self-check: ")
    cards = {value: metric.reacts for metric in measuring.evaluator.metrics.values() for value in metric.values}
    found = {}
    for key, score in scores.items():
        aim = real[key].value.details.get("real", real[key].value.value)
        direction = moved(score.better, aim, real[key].value.value, score.value.value)
        expected = "same" if canary == "real" else cards[score.protocol.metric].get(canary, "any")
        agrees = expected == "any" or direction == expected
        found[key] = {"moved": direction, "expected": expected, "as_expected": agrees}
    return found


def _write(folder: Path, values: dict[str, Scores], verdicts: Tree) -> None:
    from genexp.files.writing import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        name: {key: score.record() | verdicts[name][key] for key, score in scores.items()}
        for name, scores in values.items()
    }
    write_atomically(folder / "self_check.json", json.dumps(plain, indent=2) + "\n")


def _report(values: dict[str, Scores], verdicts: Tree, folder: Path) -> None:
    from genexp.terminal import print_columns, print_table, shown_path

    marks = {"worse": "-", "better": "+", "same": "="}
    first = next(iter(values["real"].values())).protocol
    print(f"\n{first.n_generated:,} images against {first.n_reference:,} of {first.reference}")
    rows = []
    for name, scores in values.items():
        cells = []
        for key, score in scores.items():
            verdict = verdicts[name][key]
            wrong = "" if verdict["as_expected"] else f"  WRONG, expected {verdict['expected']}"
            cells.append(f"{score.value.value:.4g} {marks[verdict['moved']]}{wrong}")
        rows.append((name, *cells))
    print_columns(("images", *(f"{key} ({score.better})" for key, score in values["real"].items())), rows)
    print("against real images: + better, - worse, = the same in the metric's own direction")
    print_table([("values", shown_path(folder / "self_check.json"))])
    sys.stdout.flush()
