"""The tables of an ablation before they become Markdown, LaTeX or HTML: blocks of measured or of reported values."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, stdev

from genexp.reports.ablation.study import Labels, Reported, Study
from genexp.reports.ablation.values import Cells, Metric, cells, label_text, metric_of, variants
from genexp.reports.formatting import NumberFormat, floor_text, heading


class AsReported:
    """Writes a paper's numbers with as many decimals as the longest of them has.

    Args:
        numbers: The numbers of a column; None stands for one that is not there.
    """

    def __init__(self, numbers: list[float | None]) -> None:
        texts = [f"{each:.12g}" for each in numbers if each is not None]
        self.plain = not any("e" in text for text in texts)
        self.decimals = max((len(text.partition(".")[2]) for text in texts), default=0)

    def __call__(self, number: float) -> str:
        """The number as text."""
        return f"{number:.{self.decimals}f}" if self.plain else f"{number:.12g}"


@dataclass(frozen=True)
class Entry:
    """One value of a block.

    Args:
        mean: Mean over seeds, or the paper's number.
        spread: Standard deviation over seeds, or the paper's own spread; None where there is none.
        n: Number of seeds; None for a number of a paper.
    """

    mean: float
    spread: float | None
    n: int | None


@dataclass
class Block:
    """A table whose values share a protocol in every column.

    Args:
        heading: What it shows; empty for the one block of all measured values.
        note: Protocol and source in words, or what real images reach; may be empty.
        reported: Whether the numbers are a paper's.
        stub: Heads of the columns that name a row.
        rows: Texts that name each row.
        heads: Heads of the columns of values, with their arrow.
        entries: Values by row and column; None where there is none.
        formats: How the numbers of each column are written.
        best: Places (row, column) of the best values.
        floors: What real images reach in each column, for a last row; None where no column has it.
    """

    heading: str
    note: str
    reported: bool
    stub: list[str]
    rows: list[list[str]]
    heads: list[str]
    entries: list[list[Entry | None]]
    formats: list[NumberFormat | AsReported]
    best: set[tuple[int, int]] = field(default_factory=set)
    floors: list[str] | None = None


def blocks_of(study: Study) -> list[Block]:
    """All tables of a study: measured ones, then each of the paper's columns by itself.

    With exactly two axes beside the search, every value has a block of the first axis by the second; else one block has
    a row for every variant and a column for every value.

    Raises:
        MixedProtocols: a column would hold values that were measured in different ways.
    """
    found = [metric for name in study.metrics if (metric := metric_of(study, name)) is not None]
    by_metric = {metric.name: cells(study, metric) for metric in found}
    axes = [axis for axis in study.axes if axis != study.search]
    if len(axes) == 2:
        measured = [_crossed(study, axes, metric, by_metric[metric.name]) for metric in found]
    else:
        measured = [_listed(study, axes, found, by_metric)] if found else []
    return [*measured, *(_reported(study, axes, each) for each in study.reported if each.values)]


def entry_of(seeds: dict[int, float]) -> Entry | None:
    """Mean, standard deviation and number of one variant's values; None without values."""
    values = list(seeds.values())
    if not values:
        return None
    finite = all(math.isfinite(each) for each in values)
    mean = fmean(values) if finite else math.nan
    spread = None if len(values) < 2 else stdev(values) if finite else math.nan
    return Entry(mean, spread, len(values))


def entry_text(entry: Entry | None, written: Callable[[float], str]) -> str:
    """`mean ± std (n)`; a dash where there is no value."""
    if entry is None:
        return "–"
    spread = "" if entry.spread is None else f" ± {written(entry.spread)}"
    return f"{written(entry.mean)}{spread}" + ("" if entry.n is None else f" ({entry.n})")


def _crossed(study: Study, axes: list[str], metric: Metric, by_variant: Cells) -> Block:
    first, second = axes
    entries = [
        [entry_of(by_variant[((first, row), (second, column))]) for column in study.axes[second]]
        for row in study.axes[first]
    ]
    written = NumberFormat([each.mean for row in entries for each in row if each])
    places = {(r, c): each for r, row in enumerate(entries) for c, each in enumerate(row) if each}
    return Block(
        heading=heading(metric),
        note="" if metric.floors is None else f"Real images reach {floor_text(metric, written)}",
        reported=False,
        stub=[first],
        rows=[[value] for value in study.axes[first]],
        heads=[f"{second}={value}" for value in study.axes[second]],
        entries=entries,
        formats=[written] * len(study.axes[second]),
        best=_best(metric, places),
    )


def _listed(study: Study, axes: list[str], found: list[Metric], by_metric: dict[str, Cells]) -> Block:
    labels = variants(study)
    columns = [[entry_of(by_metric[metric.name][each]) for each in labels] for metric in found]
    formats = [NumberFormat([each.mean for each in column if each]) for column in columns]
    best: set[tuple[int, int]] = set()
    for c, (metric, column) in enumerate(zip(found, columns, strict=True)):
        best |= _best(metric, {(r, c): each for r, each in enumerate(column) if each})
    floors = [floor_text(metric, written) for metric, written in zip(found, formats, strict=True)]
    return Block(
        heading="",
        note="",
        reported=False,
        stub=axes or ["variant"],
        rows=[[value for _, value in each] or ["all"] for each in labels],
        heads=[heading(metric) for metric in found],
        entries=[list(row) for row in zip(*columns, strict=True)],
        formats=formats,
        best=best,
        floors=floors if any(metric.floors for metric in found) else None,
    )


def _best(metric: Metric, places: dict[tuple[int, int], Entry]) -> set[tuple[int, int]]:
    badness = metric.badness
    finite = {place: each.mean for place, each in places.items() if math.isfinite(each.mean)}
    if badness is None or len(finite) < 2:
        return set()
    least = min(badness(mean) for mean in finite.values())
    best = {place for place, mean in finite.items() if badness(mean) == least}
    return best if len(best) < len(finite) else set()


def _reported(study: Study, axes: list[str], reported: Reported) -> Block:
    entries = {labels: Entry(value, reported.spreads.get(labels), None) for labels, value in reported.values.items()}
    written = AsReported([number for each in entries.values() for number in (each.mean, each.spread)])
    given = list(reported.values)
    crossed = len(axes) == 2 and all([axis for axis, _ in labels] == axes for labels in given)
    if crossed:
        first, second = ([v for v in _order(study, axis, given)] for axis in axes)
        stub, rows, heads = axes[:1], [[value] for value in first], [f"{axes[1]}={value}" for value in second]
        table = [[entries.get(((axes[0], row), (axes[1], column))) for column in second] for row in first]
    else:
        same = all([axis for axis, _ in labels] == axes for labels in given) and bool(axes)
        ordered = sorted(given, key=lambda labels: _place(study, labels))
        stub, heads = (axes if same else ["variant"]), [reported.name]
        rows = [[value for _, value in labels] if same else [label_text(labels)] for labels in ordered]
        table = [[entries[labels]] for labels in ordered]
    return Block(
        heading=reported.name,
        note=f"{reported.source}. {reported.protocol}".strip(),
        reported=True,
        stub=stub,
        rows=rows,
        heads=heads,
        entries=table,
        formats=[written] * len(heads),
    )


def _order(study: Study, axis: str, given: list[Labels]) -> list[str]:
    """The reported values of an axis: in the order of the study, then those that it does not measure."""
    used = [dict(labels)[axis] for labels in given]
    known = [value for value in study.axes[axis] if value in used]
    return list(dict.fromkeys([*known, *used]))


def _place(study: Study, labels: Labels) -> list[int]:
    inside = dict(labels)
    ends = [[*study.axes[axis], inside.get(axis)] for axis in study.axes]
    return [values.index(inside.get(axis)) for axis, values in zip(study.axes, ends, strict=True)]
