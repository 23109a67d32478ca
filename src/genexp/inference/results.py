"""What a measurement leaves: its values in a folder of its own, in the run, and in W&B. Imports no torch."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from genexp.config.compose import several
from genexp.files.writing import write_atomically
from genexp.runs.trust import wrote_run


def subject_of(run: Any) -> dict[str, Any]:
    """What a measurement is of."""
    return {"run": run.folder.record["id"], "checkpoint": run.checkpoint.name, "images_seen": run.model.images_seen}


def keep_results(config: DictConfig, run: Any, name: str, write: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Write a run's results, keep its values in the run, and say what is reported of them.

    Args:
        config: The configuration of `genexp evaluate`.
        run: The run.
        name: Folder of the results below the run's evaluations, unless another was asked for.
        write: Writes values and pictures to a folder and returns them.
    """
    folder = _folder(config, run) if config.out else run.folder.path / "evaluations" / name
    result = write(folder)
    with run.folder.held():
        _keep_in_run(run, result)
    title = f"{run.folder.record['name']} {run.folder.record['id']}, {run.weights} weights"
    return result | {"title": title, "sync": _to_wandb(config, run, result)}


def _folder(config: DictConfig, run: Any) -> Path:
    """Where the results of one run go below the folder that was asked for."""
    alone = len(several(config.run)) == 1
    return Path(config.out) / (run.weights if alone else f"{run.folder.record['id']}_{run.weights}")


def write_values(
    scores: Any, floor: dict[str, Any], subject: dict[str, Any], folder: Path, pictures: list[Path]
) -> dict[str, Any]:
    """Write `metrics.json` of a measurement; returns all that is reported.

    Args:
        scores: The scores by key.
        floor: Those of real images, as far as there are any.
        subject: What was measured.
        folder: Where the file goes.
        pictures: The pictures that lie there.
    """
    values = {key: record(score, floor.get(key)) for key, score in scores.items()}
    result = {**subject, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "values": values}
    write_atomically(folder / "metrics.json", json.dumps(result, indent=2) + "\n")
    return {"result": result, "scores": scores, "folder": folder, "pictures": pictures}


def record(score: Any, floor: Any | None) -> dict[str, Any]:
    """A score as plain values for JSON: value, its interval without the bias of order 1 / n, floor and protocol."""
    from genexp.evaluation.uncertainty import interval

    found: dict[str, Any] = {"value": score.value.value, "better": score.better}
    found |= {"unit": score.value.unit} if score.value.unit else {}
    if score.value.draws:
        without_bias = interval(score.value.draws)
        least, most = score.value.limits
        found |= {
            "extrapolated": without_bias.value,
            "error": without_bias.error,
            "low": min(max(without_bias.low, least), most),
            "high": min(max(without_bias.high, least), most),
            "draws": list(score.value.draws),
        }
    if floor is not None:
        found |= {"floor": floor.value.value, "floor_images": floor.protocol.n_generated}
    return found | {"details": score.value.details, "protocol": score.protocol.record()}


def _keep_in_run(run: Any, measured: dict[str, Any]) -> None:
    """Add the values to the run's metrics.json in place of earlier ones of the same checkpoint and protocol."""
    result = measured["result"]
    metrics = run.folder.metrics
    new = [{**{k: v for k, v in result.items() if k != "values"}, "key": k, **v} for k, v in result["values"].items()]
    same = {(row["key"], row["images_seen"], json.dumps(row["protocol"], sort_keys=True)) for row in new}
    kept = [
        row
        for row in metrics.get("evaluations", [])
        if (row["key"], row["images_seen"], json.dumps(row["protocol"], sort_keys=True)) not in same
    ]
    run.folder.write_metrics({**metrics, "evaluations": kept + new})


def _to_wandb(config: DictConfig, run: Any, measured: dict[str, Any]) -> str | None:
    from genexp.config.instantiate import build
    from genexp.tracking.nodes import logger_nodes

    node = logger_nodes(run.config, run.folder).get("wandb")
    if not config.wandb or node is None:
        return None
    if not wrote_run(run.folder.record, run.folder.path):  # its configuration may name another server
        print("not sent to W&B: this user did not write the run", file=sys.stderr)
        return None
    logger = build(node)
    _ = logger.experiment
    logger.close({f"evaluate/{run.weights}/{k}": v["value"] for k, v in measured["result"]["values"].items()})
    return logger.sync_command()
