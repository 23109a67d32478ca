"""What a study leaves in the sweep's folder: a table of all trials, plots, and the best trials on the terminal."""

import sys
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.runs.markup import csv_text
from genexp.sweeps.study.samplers import values_from
from genexp.sweeps.study.space import short
from genexp.sweeps.study.storage import used
from genexp.sweeps.study.study_plan import SearchPlan
from genexp.sweeps.study.study_plots import write_plots
from genexp.terminal import duration, print_columns, shown_path

TABLE = "study.csv"
SHOWN = 10
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
FEWEST = 4
"""Finished trials from which on the importance of parameters is estimated."""


def report(study: optuna.Study, plan: SearchPlan, folder: Path) -> list[Tree]:
    """Write `study.csv` and the plots, print the best trials; returns the numbers and values of these.

    Args:
        study: The study, with the trials of all processes.
        plan: What was searched.
        folder: The sweep's folder.
    """
    trials = used(study.get_trials(deepcopy=False))
    write_atomically(folder / TABLE, table(trials, plan))
    finished = [each for each in trials if each.state == TrialState.COMPLETE]
    drawn = [TABLE]
    if finished:
        told = len(finished) >= FEWEST and _varies(finished)
        drawn += write_plots(trials, importances(study, plan) if told else {}, plan, folder)
    best = best_trials(study, finished, plan)
    _print(trials, best, plan)
    _say_protocols(finished)
    print(f"written   {', '.join(drawn)} in {shown_path(folder)}", file=sys.stderr, flush=True)
    return [{"number": each.number, "values": each.values, "params": each.params} for each in best]


def best_trials(study: optuna.Study, finished: Sequence[FrozenTrial], plan: SearchPlan) -> list[FrozenTrial]:
    """Finished trials, the best first; for several metrics those that no other beats in all of them."""
    if not finished:
        return []
    if len(plan.question.metrics) > 1:
        front = {each.number for each in study.best_trials}
        return sorted((each for each in finished if each.number in front), key=lambda each: each.values)
    sign = 1 if plan.question.directions[0] == "minimize" else -1
    return sorted(finished, key=lambda each: (sign * each.value, each.number))


def table(trials: Sequence[FrozenTrial], plan: SearchPlan) -> str:
    """All trials as CSV: number, state, values, parameters, time, machine, folder and reason.

    The value of a pruned trial is its newest; it is not comparable with that of a finished one.
    """
    further = ("seconds", "host", "folder", "reason")
    lines: list[list[object]] = [["trial", "state", *plan.question.metrics, *plan.space, *further]]
    for trial in trials:
        values = trial.values or [""] * len(plan.question.metrics)
        params = [trial.params.get(key, "") for key in plan.space]
        attributes = [trial.user_attrs.get(key, "") for key in further]
        lines.append([trial.number, STATES[trial.state], *values, *params, *attributes])
    return csv_text(lines)


def importances(study: optuna.Study, plan: SearchPlan) -> dict[str, dict[str, float]]:
    """For every metric the share of its variance that each parameter explains, by functional ANOVA over a forest.

    Reference: An efficient approach for assessing hyperparameter importance. Hutter, Hoos, Leyton-Brown, 2014.
    """
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = {}
    for i, name in enumerate(plan.question.metrics):
        found[name] = optuna.importance.get_param_importances(
            study, evaluator=evaluator, params=list(plan.space), target=lambda trial, i=i: trial.values[i]
        )
    return found


def _varies(finished: Sequence[FrozenTrial]) -> bool:
    return all(len(set(values)) > 1 for values in zip(*(each.values for each in finished), strict=True))


def _say_protocols(finished: Sequence[FrozenTrial]) -> None:
    """Name the protocols where values were measured by several, as when samplers are searched."""
    for names in zip(*(each.user_attrs.get("measured", ()) for each in finished), strict=False):
        if len(set(names)) > 1:
            print(f"study     values of several protocols: {', '.join(sorted(set(names)))}", file=sys.stderr)


def _print(trials: Sequence[FrozenTrial], best: Sequence[FrozenTrial], plan: SearchPlan) -> None:
    counts = {name: sum(STATES[each.state] == name for each in trials) for name in STATES.values()}
    print(f"study     {', '.join(f'{count} {name}' for name, count in counts.items() if count)}", file=sys.stderr)
    if not best:
        return
    rows = []
    for trial in best[:SHOWN]:
        values = values_from(plan, trial.params)
        folder = trial.user_attrs.get("folder")
        rows.append(
            [
                str(trial.number),
                *(f"{value:.4g}" for value in trial.values),
                *(short(values[key]) for key in plan.space),
                duration(trial.user_attrs.get("seconds", float("nan"))),
                shown_path(Path(folder)) if folder else "",
            ]
        )
    names = [key.rpartition(".")[2] for key in plan.space]
    heads = [name if names.count(name) == 1 else key for key, name in zip(plan.space, names, strict=True)]
    print_columns(("trial", *plan.question.metrics, *heads, "time", "run folder"), rows)
