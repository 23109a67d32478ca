"""A comparison as text: numbers of one column with equal decimals, headers with their direction."""

import math
from collections import Counter
from typing import Protocol

from genexp.reports.settings import shown
from genexp.reports.table import Cell, Comparison, Row, setting_of

ARROWS = {"lower": "↓", "higher": "↑", "reference": "→"}


class Valued(Protocol):
    """What heads a column of values: its name, the better direction or None, and the range of real images or None."""

    @property
    def name(self) -> str: ...

    @property
    def better(self) -> str | None: ...

    @property
    def floors(self) -> tuple[float, float] | None: ...


class NumberFormat:
    """One way to write all numbers of a column: four digits for the largest, fixed decimals, or powers of ten.

    Args:
        numbers: The numbers of the column.
    """

    def __init__(self, numbers: list[float]) -> None:
        sizes = [abs(each) for each in numbers if math.isfinite(each) and each]
        largest, least = max(sizes, default=1.0), min(sizes, default=1.0)
        self.powers = largest >= 1e7 or largest < 1e-4 or largest / least > 1e6
        self.decimals = min(6, max(0, 3 - math.floor(math.log10(largest))))

    def __call__(self, number: float | None) -> str:
        """The number as text; a dash for None."""
        if number is None:
            return "–"
        if not math.isfinite(number):
            return str(number)
        return f"{number:.3e}" if self.powers else f"{number:.{self.decimals}f}"


def formats(comparison: Comparison) -> list[NumberFormat]:
    """The number format of every column of values."""
    return [
        NumberFormat([row.cells[n].mean for row in comparison.rows if n in row.cells])
        for n in range(len(comparison.columns))
    ]


def cell_text(cell: Cell | None, written: NumberFormat, separator: str = " ± ") -> str:
    """Mean and standard deviation over seeds; a single run's value alone."""
    if cell is None:
        return "–"
    return written(cell.mean) if cell.std is None else f"{written(cell.mean)}{separator}{written(cell.std)}"


def heading(column: Valued) -> str:
    """A value's name with an arrow towards better."""
    arrow = ARROWS.get(column.better or "")
    return f"{column.name} {arrow}" if arrow else column.name


def floor_text(column: Valued, written: NumberFormat) -> str:
    """What real images reach: one number, or the range where floors differ."""
    if column.floors is None:
        return "–"
    low, high = (written(each) for each in column.floors)
    return low if low == high else f"{low} to {high}"


def runs_text(comparison: Comparison, row: Row) -> str:
    """The identity of a single run, else how many there are."""
    return comparison.runs[row.runs[0]].id if len(row.runs) == 1 else f"{len(row.runs)} runs"


def state_text(comparison: Comparison, row: Row) -> str:
    """The states of a row's runs."""
    return ", ".join(sorted({comparison.runs[i].state for i in row.runs}))


def row_names(comparison: Comparison) -> list[str]:
    """Each row by the settings that set it apart, under their shortest names, with its run where they do not."""
    short = short_names([each.key for each in comparison.settings])
    texts = [{key: shown(setting_of(row, key)) for key in short} for row in comparison.rows]
    used: list[str] = []
    for key in short:
        before, after = ({tuple(text[k] for k in keys) for text in texts} for keys in (used, [*used, key]))
        if len(after) > len(before):
            used.append(key)
    names = [", ".join(f"{short[key]}={text[key]}" for key in used) for text in texts]
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 else " ".join(filter(None, [name or _experiment(comparison, row), label]))
        for name, row in zip(names, comparison.rows, strict=True)
        for label in [runs_text(comparison, row)]
    ]


def _experiment(comparison: Comparison, row: Row) -> str:
    return comparison.runs[row.runs[0]].name


def short_names(keys: list[str]) -> dict[str, str]:
    """Each dotted key's shortest ending that no other key shares."""
    names = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        alone = (e for e in endings if sum(k == e or k.endswith(f".{e}") for k in keys) == 1)
        names[key] = next(alone, key)
    return names


def text_table(comparison: Comparison, mark: str = "{} *") -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table as text.

    Args:
        comparison: What is shown.
        mark: How the best value of a column is written, with `{}` for the value.
    """
    written = formats(comparison)
    headers = ["runs", *(each.key for each in comparison.settings), "n"]
    headers += [heading(each) for each in comparison.columns] + ["state"]
    rows = []
    for row in comparison.rows:
        cells = [cell_text(row.cells.get(n), written[n]) for n in range(len(comparison.columns))]
        cells = [mark.format(text) if n in row.best else text for n, text in enumerate(cells)]
        settings = [shown(setting_of(row, each.key)) for each in comparison.settings]
        rows.append([runs_text(comparison, row), *settings, str(len(row.runs)), *cells, state_text(comparison, row)])
    if any(each.floors for each in comparison.columns):
        floors = [floor_text(each, written[n]) for n, each in enumerate(comparison.columns)]
        rows.append(["real images", *("" for _ in comparison.settings), "", *floors, ""])
    return headers, rows
