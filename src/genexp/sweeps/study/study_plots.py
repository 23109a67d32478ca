"""A study in pictures: values over trials, values over each parameter, and which parameters matter."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from optuna.trial import FrozenTrial, TrialState

from genexp.figures.plot_style import COLOURS, WIDE, blank_figure, house_style, write_figure
from genexp.runs.markup import label_in_plot
from genexp.sweeps.question import Choices
from genexp.sweeps.study.samplers import label
from genexp.sweeps.study.space import Parameter, short
from genexp.sweeps.study.study_plan import SearchPlan

HISTORY, SLICES, IMPORTANCE = "history.png", "slices.png", "importance.png"
_FINISHED, _BEST, _PRUNED = COLOURS[0], COLOURS[1], COLOURS[4]


def write_plots(
    trials: Sequence[FrozenTrial], importances: Mapping[str, Mapping[str, float]], plan: SearchPlan, folder: Path
) -> list[str]:
    """Draw the study; returns the names of the files.

    Args:
        trials: All trials, one of them finished at least.
        importances: The share of each metric's variance that every parameter explains; empty where it is not known.
        plan: What was searched.
        folder: Where the PNG files go.
    """
    with house_style():
        figures = {HISTORY: _history(trials, plan), SLICES: _slices(trials, plan)}
        if importances:
            figures[IMPORTANCE] = _importance(importances, trials, plan)
        return [write_figure(figure, folder / name).name for name, figure in figures.items()]


def _history(trials: Sequence[FrozenTrial], plan: SearchPlan) -> Figure:
    """Every trial's value in the order of the trials, and the best so far."""
    metrics = plan.question.metrics
    figure, planes = blank_figure(7.6, 0.8 + 3 * len(metrics), sharex=True, rows=len(metrics))
    for i, axes in enumerate(planes[:, 0]):
        finished = [(each.number, each.values[i]) for each in trials if each.state == TrialState.COMPLETE]
        axes.scatter(*zip(*finished, strict=True), color=_FINISHED, s=24, label="finished", zorder=3)
        pruned = [(each.number, each.values[i]) for each in trials if each.state == TrialState.PRUNED and each.values]
        if pruned:
            axes.scatter(*zip(*pruned, strict=True), color=_PRUNED, s=24, marker="x", label="pruned, at its end")
        _best_so_far(axes, finished, plan.question.directions[i])
        for number in (each.number for each in trials if each.state == TrialState.FAIL):
            axes.axvline(number, color="0.8", linewidth=1, zorder=0)
        _name_value(axes, plan, i, [value for _, value in finished])
        axes.legend(fontsize=8)
    axes.set_xlabel("trial (grey line: failed)" if any(t.state == TrialState.FAIL for t in trials) else "trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _best_so_far(axes: Axes, finished: Sequence[tuple[int, float]], direction: str) -> None:
    choose = min if direction == "minimize" else max
    best = [choose(value for _, value in finished[: i + 1]) for i in range(len(finished))]
    axes.step([number for number, _ in finished], best, where="post", color=_BEST, linewidth=1.5, label="best so far")


def _slices(trials: Sequence[FrozenTrial], plan: SearchPlan) -> Figure:
    """The values of trials over each parameter, a row a metric, later trials darker; crosses were pruned."""
    finished = [each for each in trials if each.state == TrialState.COMPLETE]
    pruned = [each for each in trials if each.state == TrialState.PRUNED and each.values]
    first = min(each.number for each in finished)
    shades = {"cmap": "Blues", "vmin": 2 * first - max(each.number for each in finished) - 1}
    rows, columns = len(plan.question.metrics), len(plan.space)
    figure, grid = blank_figure(1 + 2.6 * columns, 0.6 + 2.8 * rows, rows, columns, sharey="row")
    for column, (key, parameter) in enumerate(plan.space.items()):
        for row in range(rows):
            axes = grid[row, column]
            _scale(axes, parameter)
            places = [_place(each, key, parameter) for each in finished]
            values = [each.values[row] for each in finished]
            axes.scatter(places, values, c=[each.number for each in finished], s=28, edgecolor="0.4", **shades)
            if pruned:
                places = [_place(each, key, parameter) for each in pruned]
                axes.scatter(places, [each.values[row] for each in pruned], color=_PRUNED, s=24, marker="x")
            axes.set_xlabel(key if row == rows - 1 else "", fontsize=8)
            if column == 0:
                _name_value(axes, plan, row, values)
    return figure


def _place(trial: FrozenTrial, key: str, parameter: Parameter) -> float:
    value = trial.params[key]
    return [label(each) for each in parameter.values].index(value) if isinstance(parameter, Choices) else value


def _scale(axes: Axes, parameter: Parameter) -> None:
    """An axis over the whole range of a parameter."""
    if isinstance(parameter, Choices):
        names = [label_in_plot(short(each)) for each in parameter.values]
        axes.set_xticks(range(len(names)), names, rotation=20, fontsize=8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    low, high = parameter.low, parameter.high
    if parameter.log:
        axes.set_xscale("log")
        low, high = math.log(low), math.log(high)
    margin = 0.04 * (high - low)
    ends = low - margin, high + margin
    axes.set_xlim(*(map(math.exp, ends) if parameter.log else ends))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _importance(found: Mapping[str, Mapping[str, float]], trials: Sequence[FrozenTrial], plan: SearchPlan) -> Figure:
    count = sum(each.state == TrialState.COMPLETE for each in trials)
    figure, planes = blank_figure(7.6, 0.9 + len(found) * (0.5 + 0.35 * len(plan.space)), rows=len(found))
    for axes, (metric, shares) in zip(planes[:, 0], found.items(), strict=True):
        ordered = sorted(shares.items(), key=lambda each: each[1])
        bars = axes.barh([key for key, _ in ordered], [share for _, share in ordered], color=_FINISHED)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axes.set_xlim(0, 1.08)
        axes.tick_params(axis="y", labelsize=8)
        axes.set_title(f"share of the variance of {metric} over {count} finished trials (fANOVA)", fontsize=9)
        axes.grid(visible=False, axis="y")
    return figure


def _name_value(axes: Axes, plan: SearchPlan, i: int, values: Sequence[float]) -> None:
    better = "lower" if plan.question.directions[i] == "minimize" else "higher"
    axes.set_ylabel(f"{plan.question.metrics[i]} ({better} is better)", fontsize=9)
    if min(values) > 0 and max(values) > WIDE * min(values):
        axes.set_yscale("log")
