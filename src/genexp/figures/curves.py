"""A value over something else as a picture with its standard error, and as a table. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from genexp.figures.plot_style import COLOURS, WIDE, blank_figure, house_style

WORDS = {"log_snr": "log SNR: noise on the left, clean images on the right"}
"""What stands below a picture for the name of a column."""


def curve_figure(columns: Mapping[str, Sequence[float]], across: str, upwards: str, title: str) -> Any:
    """A figure of one column over another, with two standard errors to either side where there is such a column."""
    x, y = columns[across], columns[upwards]
    with house_style():
        figure, ((plane,),) = blank_figure(6.0, 3.8)
        if "standard_error" in columns:
            bounds = [[v + side * e for v, e in zip(y, columns["standard_error"], strict=True)] for side in (-2, 2)]
            plane.fill_between(x, *bounds, color=COLOURS[0], alpha=0.2, linewidth=0)
        plane.plot(x, y, "o-", color=COLOURS[0], markersize=3.5, linewidth=1.5)
        if min(y) > 0 and max(y) > WIDE * min(y):
            plane.set_yscale("log")
        plane.set(xlabel=WORDS.get(across, across), ylabel=upwards.replace("_", " "))
        plane.set_title(title, fontsize=9)
    return figure


def table_text(columns: Mapping[str, Sequence[float]]) -> str:
    """The columns as CSV with their names in the first line."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(f"{value:.9g}" for value in row) for row in rows)]
    return "\n".join(lines) + "\n"
