"""Logged values over images seen, thinned so that hundreds of runs still open at once."""

import math

from genexp.files.trees import Tree
from genexp.reports.table import Comparison
from genexp.runs.stored import StoredRun

POINTS = 300_000
"""The most points that a page holds over all its curves."""

LONGEST, SHORTEST = 400, 20
"""Points of one curve: at most and, however many runs there are, at least."""


def curves_of(comparison: Comparison) -> Tree:
    """Keys with their curves by run: `[images_seen, values]`, every curve with its first and last point."""
    histories = {i: history_by_key(run) for i, run in enumerate(comparison.runs)}
    shown = list(dict.fromkeys(each.column.key for each in comparison.columns))
    others = sorted({key for found in histories.values() for key in found} - set(shown))
    keys = [key for key in shown if any(key in found for found in histories.values())] + others
    count = sum(len(found) for found in histories.values())
    most = min(LONGEST, max(SHORTEST, POINTS // max(1, count)))
    curves = {
        key: {i: thinned(found[key], most) for i, found in histories.items() if key in found and found[key][0]}
        for key in keys
    }
    longest = max((len(x) for found in histories.values() for x, _ in found.values()), default=0)
    return {"curves": {key: found for key, found in curves.items() if found}, "most": most, "longest": longest}


Curve = tuple[list[int], list[float]]


def history_by_key(run: StoredRun) -> dict[str, Curve]:
    """Images seen and values of everything that a run logged, finite values only."""
    curves: dict[str, Curve] = {}
    for row in run.history:
        images = row["images_seen"]
        for key, value in row.items():
            if key in ("images_seen", "seconds") or not isinstance(value, int | float) or not math.isfinite(value):
                continue
            x, y = curves.setdefault(key, ([], []))
            x.append(images)
            y.append(value)
    return curves


def thinned(curve: Curve, most: int) -> Curve:
    """At most so many points of a curve, evenly spaced, the first and the last among them; five digits each."""
    x, y = curve
    if len(x) > most:
        picked = [round(i * (len(x) - 1) / (most - 1)) for i in range(most)]
        x, y = [x[i] for i in picked], [y[i] for i in picked]
    return x, [float(f"{value:.5g}") for value in y]
