"""A value over something else as a picture with its standard error, and as a table. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from genexp.figures.plot_style import COLOURS, WIDE, blank_figure, house_style, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORDS = {"log_snr": "log SNR: noise on the left, clean images on the right"}
"""What stands below a picture for the name of a column."""
MOST_TICKS = 25
"""Bars up to which each has its number below."""


def curve_figure(columns: Mapping[str, Sequence[float]], across: str, upwards: str, title: str) -> "Figure":
    """A figure of one column over another, with two standard errors to either side where there is such a column.

    Where a column `real` says the same of real samples, bars of generated ones stand behind marks of these; a column
    `other` says it of other data, as a second histogram.
    """
    with house_style():
        figure, ((plane,),) = blank_figure(6.0, 3.8)
        draw = _bars if "real" in columns else _histograms if "other" in columns else _line
        draw(plane, columns, columns[across], columns[upwards])
        plane.set(xlabel=WORDS.get(across, across), ylabel=upwards.replace("_", " "))
        plane.set_title(title, fontsize=9)
    return figure


def _line(plane: "Axes", columns: Mapping[str, Sequence[float]], x: Sequence[float], y: Sequence[float]) -> None:
    if "standard_error" in columns:
        bounds = [[v + side * e for v, e in zip(y, columns["standard_error"], strict=True)] for side in (-2, 2)]
        plane.fill_between(x, *bounds, color=COLOURS[0], alpha=0.2, linewidth=0)
    plane.plot(x, y, "o-", color=COLOURS[0], markersize=3.5, linewidth=1.5)
    if min(y) > 0 and max(y) > WIDE * min(y):
        plane.set_yscale("log")


def _histograms(plane: "Axes", columns: Mapping[str, Sequence[float]], x: Sequence[float], y: Sequence[float]) -> None:
    for n, (label, heights) in enumerate((("own data", y), ("other data", columns["other"]))):
        plane.fill_between(x, heights, step="mid", color=COLOURS[n], alpha=0.45, linewidth=0, label=label)
    legend_above(plane)


def _bars(plane: "Axes", columns: Mapping[str, Sequence[float]], x: Sequence[float], y: Sequence[float]) -> None:
    error = [2 * each for each in columns["standard_error"]] if "standard_error" in columns else None
    plane.bar(x, y, yerr=error, color=COLOURS[0], alpha=0.55, ecolor=COLOURS[0], label="generated")
    plane.plot(x, columns["real"], "_", color=COLOURS[1], markersize=16, markeredgewidth=2, label="real")
    plane.grid(visible=False, axis="x")
    if len(x) <= MOST_TICKS:
        plane.set_xticks(x)
    legend_above(plane)


def table_text(columns: Mapping[str, Sequence[float]]) -> str:
    """The columns as CSV with their names in the first line."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(f"{value:.9g}" for value in row) for row in rows)]
    return "\n".join(lines) + "\n"
