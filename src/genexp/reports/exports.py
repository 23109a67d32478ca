"""A comparison as files: compare.csv, compare.md, compare.tex and compare.json."""

import json
import math
import time
from pathlib import Path

from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.reports.formatting import NumberFormat, cell_text, floor_text, formats, row_names, state_text, text_table
from genexp.reports.settings import ABSENT, shown
from genexp.reports.table import Comparison, Row, TableCell, setting_of
from genexp.runs.markup import csv_text, digest_text, latex_number, latex_text, markdown_row, markdown_text


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the four files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"csv": as_csv, "md": as_markdown, "tex": as_latex, "json": as_json}
    paths = []
    for suffix, text in texts.items():
        path = folder / f"compare.{suffix}"
        write_atomically(path, text(comparison))
        paths.append(path)
    return paths


def as_csv(comparison: Comparison) -> str:
    """Every row with full numbers: mean, std and n of every value, then its settings, then its runs."""
    values = [f"{each.name} {part}" for each in comparison.columns for part in ("mean", "std", "n")]
    keys = [each.key for each in comparison.settings]
    lines = [["name", *values, "n", *keys, "seeds", "state", "runs", "folders"]]
    for name, row in zip(row_names(comparison).rows, comparison.rows, strict=True):
        settings = [_plain(row, key) for key in keys]
        numbers: list[float | str] = []
        for n in range(len(comparison.columns)):
            cell = row.cells.get(n)
            numbers += ["", "", 0] if cell is None else [cell.mean, "" if cell.std is None else cell.std, cell.n]
        runs = [comparison.runs[i] for i in row.runs]
        ids, folders = " ".join(run.id for run in runs), " ".join(str(run.folder.path) for run in runs)
        state = state_text(comparison, row)
        lines.append([name, *numbers, len(runs), *settings, " ".join(row.seeds), state, ids, folders])
    return csv_text(lines)


def as_markdown(comparison: Comparison) -> str:
    """The table with the best values in bold, and below it the notes and what could not be read."""
    headers, rows, _ = text_table(comparison, mark="**{}**")
    numbers = range(1, 2 + len(comparison.columns))
    lines = [markdown_row(headers), markdown_row(["--:" if i in numbers else ":--" for i in range(len(headers))])]
    lines += [markdown_row(row) for row in rows]
    remarks = [*_remarks(comparison)]
    return "\n".join([*lines, "", *(f"- {markdown_text(each)}" for each in remarks)]).rstrip() + "\n"


def as_latex(comparison: Comparison) -> str:
    """A `tabular` for the booktabs package with the best values in bold."""
    arrows = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", "reference": r" $\rightarrow$"}
    written = formats(comparison)
    names = row_names(comparison)
    keys = [each.key for each in comparison.settings if each.key not in names.keys]
    units = [f" [{how.unit}]" if how.unit else "" for how in written]
    values = [
        latex_text(each.name + unit) + arrows.get(each.better or "", "")
        for each, unit in zip(comparison.columns, units, strict=True)
    ]
    heads = ["runs", *values, "$n$", *map(latex_text, keys)]
    lines = [rf"\begin{{tabular}}{{l{'r' * (1 + len(values))}{'l' * len(keys)}}}", r"\toprule"]
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    for name, row in zip(names.rows, comparison.rows, strict=True):
        settings = [latex_text(shown(setting_of(row, key))) for key in keys]
        cells = [_tex_cell(row, n, written[n]) for n in range(len(comparison.columns))]
        lines.append(" & ".join([latex_text(name), *cells, str(len(row.runs)), *settings]) + r" \\")
    if any(each.floors for each in comparison.columns):
        floors = [latex_text(floor_text(each, written[n])) for n, each in enumerate(comparison.columns)]
        lines += [r"\midrule", " & ".join(["real images", *floors, "", *("" for _ in keys)]) + r" \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def as_json(comparison: Comparison) -> str:
    """Everything, with the value of every run and the protocol of every column."""
    content = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "settings": [{"key": each.key, "followers": each.followers} for each in comparison.settings],
        "columns": [
            {
                "name": each.name,
                "key": each.column.key,
                "source": each.column.source,
                "better": each.better,
                "real_images": each.floors,
                "protocol": each.column.protocol,
            }
            for each in comparison.columns
        ],
        "rows": [_row_record(comparison, row) for row in comparison.rows],
        "damaged": [{"path": str(each.path), "reason": each.reason} for each in comparison.damaged],
        "notes": comparison.notes,
    }
    return json.dumps(content, indent=2, default=str) + "\n"


def _row_record(comparison: Comparison, row: Row) -> Tree:
    keys = [key for each in comparison.settings for key in (each.key, *each.followers)]
    keys += [key for key in row.settings if key.startswith("evaluation.") and key not in keys]
    runs = [comparison.runs[i] for i in row.runs]
    return {
        "settings": {key: setting_of(row, key) for key in keys if setting_of(row, key) is not ABSENT},
        "finished": row.finished,
        "values": {comparison.columns[n].name: _cell_record(row, n, cell) for n, cell in row.cells.items()},
        "runs": [
            {
                "id": run.id,
                "path": str(run.folder.path),
                "state": run.state,
                "seed": seed,
                "images_seen": run.images_seen,
                "seconds": run.seconds,
                "commit": (run.record.get("git") or {}).get("commit"),
            }
            for run, seed in zip(runs, row.seeds, strict=True)
        ],
    }


def _cell_record(row: Row, number: int, cell: TableCell) -> Tree:
    values = [cell.values.get(i) for i in row.runs]
    numbers = {"mean": cell.mean, "std": cell.std, "n": cell.n, "values": values, "error": cell.error}
    return {k: _finite(v) for k, v in numbers.items()} | {"best": number in row.best}


def _finite(number: object) -> object:
    """JSON knows no infinities: they, and what is no number, become text."""
    if isinstance(number, list):
        return [_finite(each) for each in number]
    return str(number) if isinstance(number, float) and not math.isfinite(number) else number


def _remarks(comparison: Comparison) -> list[str]:
    lines = []
    for column in comparison.columns:
        if column.column.protocol:
            asked = ", ".join(f"{k} {digest_text(v)}" for k, v in column.column.protocol.items())
            lines.append(f"{column.name} ({column.column.source}): {asked}")
    for each in comparison.settings:
        if each.followers:
            lines.append(f"with {each.key}: {', '.join(each.followers)}")
    lines += comparison.notes
    return lines + [f"damaged: {each.path}: {each.reason}" for each in comparison.damaged]


def _plain(row: Row, key: str) -> float | str:
    value = setting_of(row, key)
    return "" if value is ABSENT else value if isinstance(value, int | float | str) else shown(value)


def _tex_cell(row: Row, number: int, written: NumberFormat) -> str:
    cell = row.cells.get(number)
    if cell is None:
        return "--"
    text = latex_number(cell_text(cell, written, r" \pm "))
    return rf"$\mathbf{{{text}}}$" if number in row.best else f"${text}$"
