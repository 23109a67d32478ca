"""What a run says when it ends: a table of values, where everything is, and what to type next; or what went wrong."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genexp.callbacks.checkpoint import load_checkpoint
from genexp.callbacks.progress import ImageProgress
from genexp.config.messages import told
from genexp.evaluation.collapse import collapse
from genexp.evaluation.worth import too_short, worth
from genexp.families.terms import NonFiniteLoss
from genexp.files.trees import Tree
from genexp.runs.evaluations import newest_of_training, read_evaluations
from genexp.runs.run_folder import RunFolder
from genexp.runs.staging import clear_partials
from genexp.terminal import duration, print_table, shown_path, typed_path
from genexp.tracking.past import Closes

if TYPE_CHECKING:
    from lightning import Callback
    from lightning.pytorch.loggers import Logger

    from genexp.callbacks.evaluate import Evaluate
    from genexp.training.assemble import Experiment


def close_run(folder: RunFolder, experiment: "Experiment", seconds: float) -> float | None:
    """Write the closing values, end the W&B run, print the table.

    Everything is read back from the folder: under a strategy that forks, training happened in other processes.

    Returns:
        The best monitored value, or None.
    """
    model, progress = experiment.model, experiment.callbacks.get("progress")
    checkpoint = load_checkpoint(folder.last) if folder.last.is_file() else {}
    own = {"images_seen": model.images_seen, "batches": model.batches, "steps": model.steps}
    closing = {
        **checkpoint.get("counters", own),
        "seconds": round(seconds, 2),
        "images_per_second": round(progress.images_per_second if isinstance(progress, ImageProgress) else 0.0, 1),
        "best": folder.best,
        "values": last_values(folder),
        "protocols": checkpoint.get("callbacks", {}).get("Evaluate", {}).get("protocols", {}),
    }
    earlier = folder.metrics.get("evaluations")  # of `genexp evaluate` of an earlier version, between two trainings
    folder.write_metrics(closing | ({"evaluations": earlier} if earlier else {}))
    folder.update_record(state="finished", finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    clear_partials(folder)
    sync = close_loggers(experiment.loggers, closing["values"])
    print_table(_rows(folder, closing, sync, experiment.callbacks, _worth(folder, closing, experiment)))
    return closing["best"]["value"] if closing["best"] else None


def seconds_before(folder: RunFolder, images_seen: int) -> float:
    """Seconds that a run had trained, by its journal, when it had seen so many images."""
    return max((row.get("seconds", 0.0) for row in folder.history() if row["images_seen"] <= images_seen), default=0.0)


def say_finished(folder: RunFolder) -> float | None:
    """Say of a finished run that nothing is left to do, and change nothing of it.

    Returns:
        Its best monitored value, or None.
    """
    seen, best = folder.metrics["images_seen"], folder.best
    print_table(
        [
            ("finished", f"already, after {seen:,} images; nothing was changed"),
            ("run folder", shown_path(folder.path)),
            ("train longer", _longer(folder, seen)),
        ]
    )
    return best["value"] if best else None


def _longer(folder: RunFolder, images_seen: int) -> str:
    return f"genexp train resume={typed_path(folder.path)} training.max_images={2 * images_seen}"


def _worth(folder: RunFolder, closing: Tree, experiment: "Experiment") -> list[tuple[str, str]]:
    """What must be known of the values: the features behind them, a collapse, and that a run was too short."""
    if not closing["protocols"]:
        return []
    rows = worth(closing["protocols"].values())
    training_images = len(experiment.data.stored("train").examples)
    short = too_short(closing["batches"], closing["images_seen"], training_images)
    collapsed = collapse(newest_of_training(read_evaluations(folder)).values())
    rows += [("collapse", collapsed)] if collapsed else []
    return [*rows, ("too short", short)] if short else rows


def last_values(folder: RunFolder) -> dict[str, float]:
    """The newest value of everything that evaluations measured."""
    values: dict[str, float] = {}
    for row in folder.history():
        values |= {k: v for k, v in row.items() if not k.startswith("train/") and k not in ("images_seen", "seconds")}
    return values


def report_failure(folder: RunFolder, experiment: "Experiment", error: BaseException) -> None:
    """Record how a run ended early, and say where it can be continued."""
    stopped = isinstance(error, KeyboardInterrupt | SystemExit)
    state = "interrupted" if stopped else "failed"
    for leave in (
        lambda: folder.update_record(state=state, error=f"{type(error).__name__}: {error}"[:2000]),
        lambda: close_loggers(experiment.loggers, {}, exit_code=1),
    ):
        try:
            leave()
        except OSError as further:  # the disk is full: what was told first is what went wrong
            print(f"not kept    {told(further)}", file=sys.stderr)
    last = folder.last if folder.last.is_file() else None
    if isinstance(error, NonFiniteLoss):
        good = f"the last good checkpoint is {last}" if last else "no checkpoint had been written yet"
        error.args = (f"{error.args[0]}; {good}; nothing was overwritten",)
    print(f"\nthe run {'was interrupted' if stopped else 'failed'}: {shown_path(folder.path)}", file=sys.stderr)
    if last:
        print(f"continue it with  genexp train resume={typed_path(folder.path)}", file=sys.stderr)


def close_loggers(loggers: Mapping[str, "Logger"], values: dict[str, float], exit_code: int = 0) -> str | None:
    """Finish every logger that has to be finished; returns the command that uploads an offline W&B run."""
    sync = None
    for logger in loggers.values():
        if isinstance(logger, Closes):
            logger.close(values, exit_code)
            sync = logger.sync_command() or sync
    return sync


def _rows(
    folder: RunFolder,
    closing: Tree,
    sync: str | None,
    callbacks: Mapping[str, "Callback"],
    worth: list[tuple[str, str]],
) -> list[tuple[str, str]]:
    shown, typed = shown_path(folder.path), typed_path(folder.path)
    rows = [(name, f"{value:.4g}") for name, value in sorted(closing["values"].items())]
    if closing["best"]:
        best = closing["best"]
        rows.append(("best", f"{best['metric']} {best['value']:.4g} at {best['images_seen']:,} images"))
    rows += worth
    speed = f", {closing['images_per_second']:,.0f} images/s" if closing["images_per_second"] else ""
    rows.append(("trained", f"{closing['images_seen']:,} images in {duration(closing['seconds'])}{speed}"))
    rows.append(("run folder", shown))
    if "sample_grid" in callbacks:
        rows.append(("pictures", f"{shown}/samples"))
        rows.append(("draw more", f"genexp sample run={typed} num=64"))
    if "evaluate" in callbacks and (metrics := _to_measure(callbacks["evaluate"])):
        rows.append(("measure", f"genexp evaluate run={typed} metrics={metrics}"))
    rows.append(("train longer", _longer(folder, closing["images_seen"])))
    if sync:
        rows.append(("upload to W&B", sync))
    return rows


def _to_measure(evaluate: "Evaluate") -> str | None:
    """What to measure at the end: the model itself where the run did so, which draws nothing, else images."""
    if evaluate.of_model:
        names = ",".join(evaluate.of_model)
        return names if len(evaluate.of_model) == 1 else f"[{names}]"
    return "[fd,kid,precision_recall]" if evaluate.evaluator.metrics else None
