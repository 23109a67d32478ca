"""A comparison as text: numbers of one column with equal decimals, headers with their direction."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from genexp.reports.settings import NONE, shown
from genexp.reports.table import Comparison, Row, TableCell, setting_of
from genexp.runs.directions import WORDS, metric_name

ARROWS = {"lower": "↓", "higher": "↑", "reference": "→"}


class Valued(Protocol):
    """What heads a column of values: its name, the better direction or None, and the range of real images or None."""

    @property
    def name(self) -> str: ...

    @property
    def better(self) -> str | None: ...

    @property
    def floors(self) -> tuple[float, float] | None: ...


_TIMES = (("s", 1.0, 1.0), ("ms", 1e3, 1e-3), ("µs", 1e6, 0.0))
"""Units of time: name, how many make a second, and from how many seconds on they are used."""


class NumberFormat:
    """One way to write all numbers of a column: four digits for the largest, fixed decimals, or powers of ten.

    Args:
        numbers: The numbers of the column.
        name: Name of the value; seconds are written in the unit that fits the largest number.

    Attributes:
        unit: What the written numbers count, or an empty text.
        scale: What a number is multiplied by before it is written.
    """

    def __init__(self, numbers: list[float], name: str = "") -> None:
        largest = max((abs(each) for each in numbers if math.isfinite(each)), default=1.0)
        timed = metric_name(name).endswith("_seconds")
        self.unit, self.scale, _ = next(each for each in _TIMES if largest >= each[2]) if timed else ("", 1.0, 0.0)
        numbers = [each * self.scale for each in numbers]
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
        number *= self.scale
        return f"{number:.3e}" if self.powers else f"{number:.{self.decimals}f}"


def formats(comparison: Comparison) -> list[NumberFormat]:
    """The number format of every column of values."""
    return [
        NumberFormat([row.cells[n].mean for row in comparison.rows if n in row.cells], column.column.key)
        for n, column in enumerate(comparison.columns)
    ]


def cell_text(cell: TableCell | None, written: NumberFormat, separator: str = " ± ") -> str:
    """Mean and standard deviation over seeds; a single run's value alone."""
    if cell is None:
        return "–"
    return written(cell.mean) if cell.std is None else f"{written(cell.mean)}{separator}{written(cell.std)}"


def heading(column: Valued, written: NumberFormat | None = None) -> str:
    """A value's name with the unit of its numbers, if they have one, and an arrow towards better."""
    unit = f"[{written.unit}]" if written and written.unit else ""
    return " ".join(filter(None, [column.name, unit, ARROWS.get(column.better or "")]))


def worded(column: Valued, written: NumberFormat) -> str:
    """A value in words: what it is, its name, its unit, and which direction is better."""
    words = WORDS.get(metric_name(column.name).rsplit("/", 1)[-1])
    better = {"lower": "lower is better", "higher": "higher is better", "reference": "best as for real images"}
    name = f"{words} ({column.name})" if words else column.name
    return ", ".join(filter(None, [f"{name} in {written.unit}" if written.unit else name, better.get(column.better)]))


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


@dataclass(frozen=True)
class Names:
    """What rows are called.

    Args:
        rows: The name of each row.
        keys: Settings that the names hold.
    """

    rows: list[str]
    keys: frozenset[str]


def row_names(comparison: Comparison, longest: int | None = None) -> Names:
    """Each row by the fewest settings that set it apart, under their shortest names; with its run where they do not.

    Of a path that is a setting its end is shown, as much as tells it from the others.

    Args:
        comparison: What is shown.
        longest: Characters of a setting within a name; None for whole ones, as files have them.
    """
    short = short_names([each.key for each in comparison.settings])
    texts = [{key: shown(setting_of(row, key)) for key in short} for row in comparison.rows]
    used: list[str] = []
    for key in short:
        before, after = ({tuple(text[k] for k in keys) for text in texts} for keys in (used, [*used, key]))
        if len(after) > len(before):
            used.append(key)
    brief = {key: brief_texts([text[key] for text in texts], longest) for key in used}
    names = [", ".join(f"{short[key]}={brief[key][text[key]]}" for key in used if text[key] != NONE) for text in texts]
    counts = Counter(names)
    names = [
        name if name and counts[name] == 1 else " ".join(filter(None, [name or _experiment(comparison, row), label]))
        for name, row in zip(names, comparison.rows, strict=True)
        for label in [runs_text(comparison, row)]
    ]
    return Names(names, frozenset(used))


ON_SCREEN = 48
"""Characters of a setting within a name in a terminal and on a page."""


def brief_texts(texts: Sequence[str], longest: int | None = None) -> dict[str, str]:
    """Settings as a name holds them: the end of an absolute path that sets it apart, and not more than fits."""
    paths = [text for text in dict.fromkeys(texts) if text.startswith(("/", "~")) or text[1:3] in (":\\", ":/")]
    ends = {text: re.split(r"[/\\]", text.rstrip("/\\")) for text in paths}
    brief = {}
    for text in texts:
        parts = ends.get(text)
        if parts is None:
            end = re.sub(r"(?<![\w.<>/:])~?/(?:[^\s\"',;:\]})]+/)+(?=[^\s\"',;:\]})/])", "", text)
        else:
            tails = (parts[-n:] for n in range(1, len(parts)))
            alone = (tail for tail in tails if sum(each[-len(tail) :] == tail for each in ends.values()) == 1)
            end = "/".join(next(alone, parts[1:]))
        brief[text] = end if longest is None or len(end) <= longest else f"{end[: longest - 1]}…"
    return brief


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


def text_table(
    comparison: Comparison, mark: str = "{} *", most: int | None = None, longest: int | None = None
) -> tuple[list[str], list[list[str]], list[str]]:
    """Headers and rows of the table as text, and the settings that differ and have no column.

    The name of a row comes first, then its values, then what its name does not say of it.

    Args:
        comparison: What is shown.
        mark: How the best value of a column is written, with `{}` for the value.
        most: Settings that have a column, at most; None for all.
        longest: Characters of a setting within a name; None for whole ones.
    """
    written = formats(comparison)
    names = row_names(comparison, longest)
    others = [each.key for each in comparison.settings if each.key not in names.keys]
    keys, left = others[:most], others[len(others[:most]) :]
    headers = ["runs", *map(heading, comparison.columns, written), "n", "state", *keys]
    rows = []
    for name, row in zip(names.rows, comparison.rows, strict=True):
        cells = [cell_text(row.cells.get(n), written[n]) for n in range(len(comparison.columns))]
        cells = [mark.format(text) if n in row.best else text for n, text in enumerate(cells)]
        settings = [shown(setting_of(row, key)) for key in keys]
        rows.append([name, *cells, str(len(row.runs)), state_text(comparison, row), *settings])
    if any(each.floors for each in comparison.columns):
        floors = [floor_text(each, written[n]) for n, each in enumerate(comparison.columns)]
        rows.append(["real images", *floors, "", "", *("" for _ in keys)])
    return headers, rows, left
