"""A comparison into Weights & Biases: workspace and report are uploaded, or kept as JSON where that cannot be.

Needs the extra `reports`. Imports no torch.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.files.writing import write_atomically
from genexp.reports.table import Comparison
from genexp.runs.stored import StoredRun
from genexp.terminal import shown_path
from genexp.tracking.wandb_panels import Place, report, workspace

if TYPE_CHECKING:
    import wandb
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace


def show_in_wandb(
    comparison: Comparison,
    folder: Path,
    title: str | None = None,
    question: str | None = None,
    place: Place | None = None,
) -> list[tuple[str, str]]:
    """Build the workspace and the report, keep them as JSON, and upload them when W&B is reachable.

    Args:
        comparison: The compared runs.
        folder: Where `wandb_workspace.json` and `wandb_report.json` go.
        title: Title of both; by default the names of the runs and what differs.
        question: What the comparison answers, at the head of the report.
        place: Where the runs are; by default where their configurations say.

    Returns:
        What was done: names and texts, for people.

    Raises:
        ValueError: the extra `reports` is not installed, no run was logged to W&B, or the runs lie in several projects.
        ConnectionError: W&B could not be reached.
    """
    _require_extra()
    place = place or place_of(comparison.runs)
    title = title or default_title(comparison)
    account = None if _offline() else _account()
    place = Place(place.project, place.entity or (account.default_entity if account else None) or "entity")
    views = {"workspace": workspace(comparison, place, title), "report": report(comparison, place, title, question)}
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for name, view in views.items():
        path = folder / f"wandb_{name}.json"
        text = view._to_model().model_dump_json(by_alias=True, exclude_none=True)
        write_atomically(path, json.dumps(json.loads(text), indent=1) + "\n")
        done.append((f"wandb {name}", shown_path(path.resolve())))
    if account is None:
        why = f"WANDB_MODE is {os.environ['WANDB_MODE']}" if _offline() else "there is no API key, see wandb login"
        return [*done, ("uploaded", f"nothing: {why}")]
    return [*done, *(("uploaded", _saved(view)) for view in views.values())]


def place_of(runs: Sequence[StoredRun]) -> Place:
    """The W&B project of runs, by their configurations.

    Raises:
        ValueError: no run has a W&B logger, or they lie in several projects.
    """
    found = set()
    for run in (run for run in runs if run.trained):
        node = (run.folder.config.get("logger") or {}).get("wandb")
        if node is not None:
            found.add(Place(str(node["project"]), node.get("entity")))
    if len(found) != 1:
        named = ", ".join(sorted(each.project for each in found)) or "none"
        raise ValueError(f"project must be given where the runs do not share one W&B project, got {named}")
    return found.pop()


def default_title(comparison: Comparison) -> str:
    """The names of the runs and the settings that differ."""
    names = ", ".join(dict.fromkeys(run.name for run in comparison.runs))
    keys = ", ".join(each.key for each in comparison.settings[:3])
    return (f"{names}: {keys}" if keys else names)[:128]


def _require_extra() -> None:
    try:
        import wandb_workspaces  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            "wandb=true must have wandb-workspaces, and there is none: pip install 'genexp[reports]'"
        ) from error


def _offline() -> bool:
    return os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun")


def _account() -> "wandb.Api | None":
    """W&B's interface to the account, or None where nobody is logged in."""
    import wandb

    try:
        return wandb.Api()
    except wandb.errors.UsageError:
        return None


def _saved(view: "Workspace | Report") -> str:
    import wandb

    try:
        return view.save().url
    except (wandb.errors.CommError, OSError) as error:
        raise ConnectionError(f"W&B could not be reached, nothing more was uploaded: {error}") from error
