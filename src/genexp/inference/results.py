"""What a measurement leaves: its values in a folder of its own, in the run, and in W&B. Imports no torch."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.config.compose import several
from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.runs.evaluations import EVALUATE, keep_evaluations
from genexp.runs.trust import wrote_run

if TYPE_CHECKING:
    from genexp.evaluation.scores import Score
    from genexp.inference.run import Run


def keep_results(config: DictConfig, run: "Run", name: str, write: Callable[[Path], Tree]) -> Tree:
    """Write a run's results, keep its values in the run, and say what is reported of them.

    Values of several runs as one are of none of them, and go to a folder of their own.

    Args:
        config: The configuration of `genexp evaluate`.
        run: The run.
        name: Folder of the results below the run's evaluations, unless another was asked for.
        write: Writes values and pictures to a folder and returns them.
    """
    if len(run.members) > 1:
        return write(folder_of_none(config)) | {"title": f"{len(run.members)} runs, weights {run.weights}"}
    folder = _folder(config, run) if config.out else run.folder.path / "evaluations" / name
    result = write(folder)
    told = {name: value for name, value in result["result"].items() if name != "values"}
    keep_evaluations(run.folder, result["result"]["values"], EVALUATE, told)
    title = f"{run.folder.record['name']} {run.folder.record['id']}, {run.weights} weights"
    values = {f"evaluate/{run.weights}/{key}": each["value"] for key, each in result["result"]["values"].items()}
    curves = [score.protocol.metric for score in result["scores"].values() if score.value.curve is not None]
    pictures = {f"evaluate/{run.weights}/{each}_curve": folder / f"{each}.png" for each in curves}
    return result | {"title": title, "sync": to_wandb(run, values, pictures) if config.wandb else None}


def folder_of_none(config: DictConfig) -> Path:
    """Where values go that are of no one run."""
    return Path(config.out or f"{config.paths.outputs}/evaluations/{time.strftime('%Y-%m-%d_%H-%M-%S')}")


def _folder(config: DictConfig, run: "Run") -> Path:
    """Where the results of one run go below the folder that was asked for."""
    alone = len(several(config.run)) == 1
    return Path(config.out) / (run.weights if alone else f"{run.folder.record['id']}_{run.weights}")


def write_values(
    scores: Mapping[str, "Score"],
    floor: Mapping[str, "Score"],
    subject: Tree,
    folder: Path,
    pictures: list[Path],
) -> Tree:
    """Write `metrics.json` of a measurement; returns all that is reported.

    Args:
        scores: The scores by key.
        floor: Those of real images, as far as there are any.
        subject: What was measured.
        folder: Where the file goes.
        pictures: The pictures that lie there.
    """
    values = {key: score.record(floor.get(key)) for key, score in scores.items()}
    pictures = [*pictures, *(_curve(score, folder) for score in scores.values() if score.value.curve is not None)]
    result = {**subject, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "values": values}
    write_atomically(folder / "metrics.json", json.dumps(result, indent=2) + "\n")
    return {"result": result, "scores": scores, "folder": folder, "pictures": pictures}


def _curve(score: "Score", folder: Path) -> Path:
    """Write what a value is a mean of as CSV, PNG, SVG and PDF; returns the PNG file."""
    from genexp.figures.curves import curve_figure, table_text
    from genexp.figures.plot_style import house_style, write_figure

    curve, protocol = score.value.curve, score.protocol
    write_atomically(folder / f"{protocol.metric}.csv", table_text(curve.columns))
    title = f"{protocol.weights} weights, {protocol.n_reference:,} of {protocol.reference}, seed {protocol.seed}"
    with house_style():
        figure = curve_figure(curve.columns, curve.across, curve.upwards, title)
        return write_figure(figure, folder / f"{protocol.metric}.png")


def to_wandb(run: "Run", values: dict[str, float], pictures: Mapping[str, Path] = MappingProxyType({})) -> str | None:
    """Put values and pictures into the summary of a run's W&B run, where it has one.

    The history stays as training wrote it: W&B counts its rows, and a resumed run goes on by that count.

    Args:
        run: The run.
        values: Numbers by their keys.
        pictures: PNG files by their keys.

    Returns:
        The command that uploads them, where the run is recorded offline.
    """
    from genexp.config.instantiate import build
    from genexp.tracking.logger_nodes import logger_nodes
    from genexp.tracking.wandb_pictures import of_file

    node = logger_nodes(run.config, run.folder).get("wandb")
    if node is None:
        return None
    if not wrote_run(run.folder.record, run.folder.path):  # its configuration may name another server
        print("not sent to W&B: this user did not write the run", file=sys.stderr)
        return None
    logger = build(node)
    _ = logger.experiment
    logger.close({**values, **{key: of_file(path) for key, path in pictures.items()}})
    return logger.sync_command()
