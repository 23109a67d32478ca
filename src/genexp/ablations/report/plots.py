"""An ablation's plots: lines over a numeric axis, else dots beside names; and the budget of a search."""

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from genexp.ablations.report.budget import budget_curves
from genexp.ablations.report.files import safe_name
from genexp.ablations.report.study import Labels, Study
from genexp.ablations.report.values import Cells, MetricValues, cells, label_text, metric_of
from genexp.figures.plot_style import COLOURS, WIDE, blank_figure, house_style, legend_above, note_below, write_figure
from genexp.reports.formatting import NumberFormat, worded
from genexp.runs.markup import label_in_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*"


def write_plots(study: Study, folder: Path) -> dict[str, Path]:
    """Draw every value that has a column, and the budget of a search.

    Args:
        study: The values.
        folder: Where the files go: PNG, and beside each SVG and PDF.

    Returns:
        What each plot shows, with its PNG file.
    """
    found: dict[str, Path] = {}
    with house_style():
        for name in study.metrics:
            metric = metric_of(study, name)
            if metric is None:
                continue
            figure = _metric_figure(study, metric)
            if figure is not None:
                what = f"{worded(metric, _written(metric))}: mean, and range over seeds"
                found[what] = write_figure(figure, folder / f"{safe_name(name)}.png")
            figure = _budget_figure(study, metric)
            if figure is not None:
                what = f"{name}: expected best of k settings of {study.search}, mean and range over seeds"
                found[what] = write_figure(figure, folder / f"{safe_name(name)}_budget.png")
    return found


def numeric_axis(study: Study) -> str | None:
    """The axis that a plot runs over: of those with three numbers or more the longest, of equals the last."""
    axes = {axis: values for axis, values in study.axes.items() if axis != study.search}
    numeric = {axis for axis, values in axes.items() if all(_number(each) is not None for each in values)}
    fit = [axis for axis, values in axes.items() if len(values) > 2 and axis in numeric]
    return max(fit, key=lambda axis: (len(axes[axis]), fit.index(axis)), default=None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _metric_figure(study: Study, metric: MetricValues) -> "Figure":
    by_variant, scale = cells(study, metric), _written(metric).scale
    finite = {
        labels: {seed: value * scale for seed, value in seeds.items() if math.isfinite(value)}
        for labels, seeds in by_variant.items()
    }
    if not any(finite.values()):
        return None
    axis = numeric_axis(study)
    lines = {} if axis is None else _lines(finite, axis)
    over_axis = axis is not None and len(lines) <= len(COLOURS)
    figure = _line_figure(study, metric, axis, lines) if over_axis else _dot_figure(study, metric, finite)
    lost = {labels: len(seeds) - len(finite[labels]) for labels, seeds in by_variant.items()}
    named = [f"{label_text(labels)} ({count} of {len(by_variant[labels])})" for labels, count in lost.items() if count]
    note = _marks(len(seeds) for seeds in finite.values() if seeds)
    note += f"\nSeeds that diverged and are not drawn: {', '.join(named)}" if named else ""
    note_below(figure, label_in_plot(note))
    return figure


def _written(metric: MetricValues) -> NumberFormat:
    values = [value for seeds in metric.values.values() for value in seeds.values()]
    return NumberFormat(values, metric.name)


def _marks(counts: Iterable[int]) -> str:
    """What marks, bars and dots are, with the number of seeds."""
    found = sorted(set(counts))
    if found == [1]:
        return "Marks: the value of one seed."
    many = f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
    return f"Marks: mean over {many} seeds. Bars: from the smallest to the largest seed. Pale dots: the seeds."


def _axis_words(study: Study, axis: str) -> str:
    return label_in_plot(study.words.get(axis, axis.replace("_", " ")))


def _label_words(study: Study, labels: Labels) -> str:
    """A variant in words, such as `fresh noise (eta) 0.5`."""
    return ", ".join(f"{_axis_words(study, axis)} {label_in_plot(value)}" for axis, value in labels)


def _lines(by_variant: Cells, axis: str) -> dict[Labels, list[tuple[float, dict[int, float]]]]:
    found: dict[Labels, list[tuple[float, dict[int, float]]]] = {}
    for labels, seeds in by_variant.items():
        rest = tuple(each for each in labels if each[0] != axis)
        found.setdefault(rest, []).append((float(dict(labels)[axis]), seeds))
    return {rest: sorted(points, key=lambda point: point[0]) for rest, points in found.items()}


def _line_figure(
    study: Study, metric: MetricValues, axis: str, lines: dict[Labels, list[tuple[float, dict[int, float]]]]
) -> "Figure":
    figure, ((plane,),) = blank_figure(7.6, 4.6)
    for n, (rest, points) in enumerate(lines.items()):
        shown = [(x, list(seeds.values())) for x, seeds in points if seeds]
        label = _label_words(study, rest) or None
        style = {"marker": MARKERS[n], "markersize": 6, "linewidth": 1.8, "color": COLOURS[n], "capsize": 3}
        means, ranges = zip(*(_mean_and_range(values) for _, values in shown), strict=True)
        plane.errorbar([x for x, _ in shown], means, yerr=list(zip(*ranges, strict=True)), label=label, **style)
        for x, seeds in points:
            plane.plot([x] * len(seeds), list(seeds.values()), ".", color=COLOURS[n], alpha=0.3, markersize=5)
    places = sorted({x for points in lines.values() for x, _ in points})
    _scale_places(plane, places)
    _scale_values(plane, [v for points in lines.values() for _, seeds in points for v in seeds.values()], "y")
    _floor(plane, metric, "h")
    plane.set_xlabel(_axis_words(study, axis))
    plane.set_ylabel(label_in_plot(worded(metric, _written(metric))))
    if len(lines) > 1 or metric.floors:
        legend_above(plane)
    return figure


def _dot_figure(study: Study, metric: MetricValues, by_variant: Cells) -> "Figure":
    """A row for every variant, or where there are two axes or more a colour for every value of the last."""
    shown = {labels: seeds for labels, seeds in by_variant.items() if seeds}
    kinds = list(dict.fromkeys(labels[-1:] for labels in shown))
    split = len(kinds[0]) == 1 and any(len(labels) > 1 for labels in shown) and len(kinds) <= len(COLOURS)
    names = list(dict.fromkeys(labels[:-1] if split else labels for labels in shown))
    height = 0.34 if not split else 0.16 + 0.14 * len(kinds)
    figure, ((plane,),) = blank_figure(7.6, 1.6 + height * len(names))
    for labels, seeds in shown.items():
        n = kinds.index(labels[-1:]) if split else 0
        row = names.index(labels[:-1] if split else labels)
        row += 0.7 * ((n + 0.5) / len(kinds) - 0.5) if split else 0
        _dots(plane, row, seeds, n)
    if split:
        for n, kind in enumerate(kinds):
            plane.plot([], [], MARKERS[n], color=COLOURS[n], label=_label_words(study, kind))
    texts = [label_in_plot(", ".join(value for _, value in labels)) or "all" for labels in names]
    plane.set_yticks(range(len(names)), texts, color="#1c1d1f")
    plane.set_ylabel(", ".join(_axis_words(study, axis) for axis, _ in names[0]))
    plane.set_ylim(len(names) - 0.5, -0.5)
    plane.grid(visible=False, axis="y")
    _scale_values(plane, [value for seeds in shown.values() for value in seeds.values()], "x")
    _floor(plane, metric, "v")
    plane.set_xlabel(label_in_plot(worded(metric, _written(metric))))
    if split or metric.floors:
        legend_above(plane)
    return figure


def _dots(plane: "Axes", row: float, seeds: dict[int, float], n: int) -> None:
    mean, (below, above) = _mean_and_range(list(seeds.values()))
    plane.plot(list(seeds.values()), [row] * len(seeds), "o", color=COLOURS[n], alpha=0.28, markersize=5, mew=0)
    style = {"fmt": MARKERS[n], "markersize": 6.5, "capsize": 3, "linewidth": 1.8}
    plane.errorbar(mean, row, xerr=[[below], [above]], color=COLOURS[n], **style)


def _mean_and_range(values: list[float]) -> tuple[float, tuple[float, float]]:
    """The mean, and how far the smallest and the largest value lie from it."""
    mean = fmean(values)
    return mean, (mean - min(values), max(values) - mean)


def _budget_figure(study: Study, metric: MetricValues) -> "Figure":
    curves = budget_curves(study, metric)[: len(COLOURS)]
    if not curves:
        return None
    figure, ((plane,),) = blank_figure(7.6, 4.8)
    for n, curve in enumerate(curves):
        known = [(k, m, r) for k, m, r in zip(itertools.count(1), curve.means, curve.ranges) if m is not None]
        if not known:
            continue
        ks, means, ranges = zip(*known, strict=True)
        named = None if len(curves) == 1 else _label_words(study, curve.labels)
        plane.plot(ks, means, marker=MARKERS[n], markersize=5, linewidth=1.8, color=COLOURS[n], label=named)
        plane.fill_between(ks, *zip(*ranges, strict=True), color=COLOURS[n], alpha=0.14, linewidth=0)
    ends = [end for curve in curves for each in curve.ranges if each is not None for end in each]
    if ends:
        _scale_values(plane, ends, "y")
    plane.xaxis.get_major_locator().set_params(integer=True)
    plane.set_xlabel(f"k, the number of settings of {_axis_words(study, study.search)} that were tried")
    plane.set_ylabel(label_in_plot(f"expected best {worded(metric, _written(metric))}"))
    note_below(figure, "Lines: mean over seeds. Bands: from the smallest to the largest seed.")
    if len(curves) > 1:
        legend_above(plane)
    return figure


def _scale_places(plane: "Axes", places: list[float]) -> None:
    """Ticks at the measured places, on a logarithmic axis where they span widely."""
    positive = [each for each in places if each > 0]
    if len(positive) >= 2 and places[0] >= 0 and positive[-1] / positive[0] > WIDE:
        if places[0] > 0:
            plane.set_xscale("log")
        else:
            plane.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
    plane.set_xticks(places, [f"{each:g}" for each in places], minor=False)
    plane.minorticks_off()


def _scale_values(plane: "Axes", values: list[float], direction: str) -> None:
    if min(values) > 0 and max(values) / min(values) > WIDE:
        from matplotlib.ticker import LogLocator, StrMethodFormatter

        getattr(plane, f"set_{direction}scale")("log", nonpositive="clip")
        getattr(plane, f"set_{direction}lim")(min(values) / 1.3, max(values) * 1.3)
        line = getattr(plane, f"{direction}axis")
        line.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) / min(values) < 300 else (1,)))
        line.set_major_formatter(StrMethodFormatter("{x:g}"))
        line.set_minor_formatter("")


def _floor(plane: "Axes", metric: MetricValues, way: str) -> None:
    if metric.floors:
        draw = plane.axhline if way == "h" else plane.axvline
        place = sum(metric.floors) / 2 * _written(metric).scale
        draw(place, color="#54585f", linestyle="--", linewidth=1.3, label=f"real {metric.things}")
