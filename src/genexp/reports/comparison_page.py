"""compare.html: one file that opens from disk, with a sortable table, curves, pictures over training and a diff."""

import json
import math
import re
import time
from collections import Counter
from pathlib import Path

from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.reports.formatting import (
    ON_SCREEN,
    NumberFormat,
    cell_text,
    floor_text,
    formats,
    heading,
    row_names,
    state_text,
)
from genexp.reports.histories import curves_of
from genexp.reports.run_pictures import pictures_of
from genexp.reports.settings import shown
from genexp.reports.table import Comparison, Row, ValueColumn, setting_of
from genexp.runs.lineage import lineage

_FILES = Path(__file__).parent / "page"
STYLE = _FILES / "page.css"
"""How pages of this project look."""
_SCRIPTS = ("start.js", "table.js", "curves.js", "samples.js", "diff.js")


def write_page(comparison: Comparison, path: Path, picture_bytes: int = 16_000_000) -> Path:
    """Write the page.

    Args:
        comparison: What is shown.
        path: The file to write.
        picture_bytes: The most that sample pictures may take; what is left out is said on the page.
    """
    data = _data(comparison)
    pictures = pictures_of(comparison, picture_bytes)
    parts = {
        "STYLE": STYLE.read_text(),
        "DATA": _as_script(data),
        "SCRIPT": "\n".join((_FILES / name).read_text() for name in _SCRIPTS),
        "PICTURES": _as_script(pictures),
        "PLOTTING": _plotting_library(),
    }
    places = "|".join(rf"/\*{name}\*/" for name in parts)  # in one pass: what is put in is not looked through
    text = re.sub(places, lambda found: parts[found[0].strip("/*")], (_FILES / "page.html").read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path


def _plotting_library() -> str:
    """Source of plotly.js, as the Python package plotly brings it; the page evaluates it when curves come into view.

    Raises:
        ValueError: the source cannot stand inside an HTML script element.
    """
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs()
    if "</script" in source.lower():
        raise ValueError("plotly.js must not contain a closing script tag, got one; another version of plotly may do")
    return source


def _as_script(content: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(content, separators=(",", ":"), default=str, allow_nan=False).replace("<", "\\u003c")


def _data(comparison: Comparison) -> Tree:
    written = formats(comparison)
    states = Counter(run.state for run in comparison.runs)
    common, own = _configurations(comparison)
    return {
        "time": time.strftime("%Y-%m-%d %H:%M"),
        "states": dict(states.most_common()),
        "settings": [{"key": each.key, "followers": each.followers} for each in comparison.settings],
        "columns": [_column(each, how) for each, how in zip(comparison.columns, written, strict=True)],
        "rows": [
            {"name": name, **_row(comparison, row, written)}
            for name, row in zip(row_names(comparison, ON_SCREEN).rows, comparison.rows, strict=True)
        ],
        "runs": _runs(comparison),
        "common": common,
        "own": own,
        "curves": curves_of(comparison),
        "damaged": [{"path": str(each.path), "reason": each.reason} for each in comparison.damaged],
        "notes": comparison.notes,
        "lineage": [f"{run.name} {run.id}: {key}: {told}" for run in comparison.runs for key, told in lineage(run)],
    }


def _column(column: ValueColumn, written: NumberFormat) -> Tree:
    return {
        "name": column.name,
        "heading": heading(column, written),
        "better": column.better,
        "source": column.column.source,
        "protocol": column.column.protocol,
        "floor": floor_text(column, written),
    }


def _runs(comparison: Comparison) -> list[Tree]:
    row_of = {i: number for number, row in enumerate(comparison.rows) for i in row.runs}
    return [
        {
            "id": run.id,
            "name": run.name,
            "path": str(run.folder.path),
            "state": run.state,
            "seed": run.settings.get("seed"),
            "row": row_of.get(i),
            "images": run.images_seen,
        }
        for i, run in enumerate(comparison.runs)
    ]


def _row(comparison: Comparison, row: Row, written: list[NumberFormat]) -> Tree:
    values = [setting_of(row, each.key) for each in comparison.settings]
    cells = []
    for n in range(len(comparison.columns)):
        cell = row.cells.get(n)
        if cell is None:
            cells.append(None)
            continue
        each = [
            f"{seed or comparison.runs[i].id}: {written[n](cell.values[i])}"
            for i, seed in _seeds(row)
            if i in cell.values
        ]
        mean = cell.mean if math.isfinite(cell.mean) else None
        error = "" if cell.error is None else f"standard error over groups of samples {written[n](cell.error)}"
        cells.append(
            {"text": cell_text(cell, written[n]), "value": mean, "best": n in row.best, "each": each, "error": error}
        )
    return {
        "runs": row.runs,
        "settings": [shown(value) for value in values],
        "sort": [_number(value) for value in values],
        "n": len(row.runs),
        "state": state_text(comparison, row),
        "images": max((comparison.runs[i].images_seen or 0 for i in row.runs), default=0),
        "finished": row.finished,
        "cells": cells,
    }


def _number(value: object) -> float | None:
    """What a setting sorts by, if it is a number."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain and math.isfinite(value) else None


def _seeds(row: Row) -> list[tuple[int, str]]:
    return list(zip(row.runs, row.seeds, strict=True))


def _configurations(comparison: Comparison) -> tuple[dict[str, str], list[dict[str, str | None]]]:
    """What all configurations share, and what each has instead; None marks a key that one lacks."""
    texts = [{k: shown(v) for k, v in {**run.settings, **_groups(run.choices)}.items()} for run in comparison.runs]
    counts: dict[str, Counter] = {}
    for each in texts:
        for key, value in each.items():
            counts.setdefault(key, Counter())[value] += 1
    common = {key: count.most_common(1)[0][0] for key, count in sorted(counts.items())}
    own: list[dict[str, str | None]] = []
    for each in texts:
        own.append({key: each.get(key) for key, value in common.items() if each.get(key) != value})
    return common, own


def _groups(choices: dict[str, str]) -> dict[str, str]:
    return {f"({key})": value for key, value in choices.items()}
