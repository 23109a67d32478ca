"""The tables of an ablation before they become Markdown, LaTeX or HTML: blocks of measured or of reported values."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, stdev

from genexp.ablations.report.study import Labels, Reported, Study
from genexp.ablations.report.values import Cells, MetricValues, best_settings, cells, label_text, metric_of, variants
from genexp.reports.formatting import NumberFormat, floor_text, heading
from genexp.terminal import counted


def as_reported(number: float) -> str:
    """A paper's number with the digits that the paper gives."""
    return f"{number:.12g}"


@dataclass(frozen=True)
class Entry:
    """One value of a block.

    Args:
        mean: Mean over seeds, or the paper's number.
        spread: Standard deviation over seeds, or the paper's own spread; None where there is none.
        n: Number of seeds that count; None for a number of a paper.
        diverged: Number of further seeds whose value is no finite number.
    """

    mean: float
    spread: float | None
    n: int | None
    diverged: int = 0


@dataclass
class TableBlock:
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
        floor_name: What names that row.
    """

    heading: str
    note: str
    reported: bool
    stub: list[str]
    rows: list[list[str]]
    heads: list[str]
    entries: list[list[Entry | None]]
    formats: list[Callable[[float], str]]
    best: set[tuple[int, int]] = field(default_factory=set)
    floors: list[str] | None = None
    floor_name: str = ""

    @property
    def seeds(self) -> int | None:
        """The number of seeds behind every value, or None where it differs."""
        found = {(each.n, each.diverged) for row in self.entries for each in row if each is not None}
        return found.pop()[0] if len(found) == 1 and next(iter(found))[1] == 0 else None

    def text(self, row: int, column: int) -> str:
        """A value as text, with its number of seeds where that is not the same everywhere."""
        return entry_text(self.entries[row][column], self.formats[column], self.seeds is None)

    @property
    def remark(self) -> str:
        """The note, and the number of seeds where every value has the same."""
        count = "" if self.seeds is None else f"Every value is of {counted(self.seeds, 'seed')}."
        note = f"{self.note}." if self.note and not self.note.endswith(".") else self.note
        return " ".join(filter(None, [note, count]))


def blocks_of(study: Study) -> list[TableBlock]:
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
    return [*measured, *(_reported(axes, each) for each in study.reported if each.values)]


def entry_of(seeds: dict[int, float]) -> Entry | None:
    """Mean, standard deviation and number of one variant's finite values, and of the others; None without values."""
    if not seeds:
        return None
    values = [each for each in seeds.values() if math.isfinite(each)]
    spread = stdev(values) if len(values) > 1 else None
    return Entry(fmean(values) if values else math.nan, spread, len(values), len(seeds) - len(values))


def entry_text(entry: Entry | None, written: Callable[[float], str], with_count: bool = True) -> str:
    """`mean ± std (n)`, and how many seeds diverged beside these; a dash where there is no value."""
    if entry is None:
        return "–"
    if entry.n == 0:
        return f"diverged ({entry.diverged})"
    spread = "" if entry.spread is None else f" ± {written(entry.spread)}"
    diverged = f", {entry.diverged} diverged" if entry.diverged else ""
    return f"{written(entry.mean)}{spread}" + (f" ({entry.n}{diverged})" if with_count and entry.n is not None else "")


def _crossed(study: Study, axes: list[str], metric: MetricValues, by_variant: Cells) -> TableBlock:
    first, second = axes
    entries = [
        [entry_of(by_variant[((first, row), (second, column))]) for column in study.axes[second]]
        for row in study.axes[first]
    ]
    written = NumberFormat([each.mean for row in entries for each in row if each], metric.name)
    places = {(r, c): (each, written) for r, row in enumerate(entries) for c, each in enumerate(row) if each}
    return TableBlock(
        heading=heading(metric, written),
        note="" if metric.floors is None else f"{floor_name([metric]).capitalize()}: {floor_text(metric, written)}",
        reported=False,
        stub=[first],
        rows=[[value] for value in study.axes[first]],
        heads=[f"{second}={value}" for value in study.axes[second]],
        entries=entries,
        formats=[written] * len(study.axes[second]),
        best=_best(metric, places),
    )


def _listed(study: Study, axes: list[str], found: list[MetricValues], by_metric: dict[str, Cells]) -> TableBlock:
    labels = variants(study)
    settings = None if study.search is None else best_settings(study)
    columns = [[entry_of(by_metric[metric.name][each]) for each in labels] for metric in found]
    formats = [
        NumberFormat([each.mean for each in column if each], metric.name)
        for metric, column in zip(found, columns, strict=True)
    ]
    best: set[tuple[int, int]] = set()
    for c, (metric, column) in enumerate(zip(found, columns, strict=True)):
        best |= _best(metric, {(r, c): (each, formats[c]) for r, each in enumerate(column) if each})
    floors = [floor_text(metric, written) for metric, written in zip(found, formats, strict=True)]
    return TableBlock(
        heading="",
        note="",
        reported=False,
        stub=[*(axes or ["variant"]), *([] if settings is None else [f"best {study.search}"])],
        rows=[_names(each, settings) for each in labels],
        heads=list(map(heading, found, formats)),
        entries=[list(row) for row in zip(*columns, strict=True)],
        formats=formats,
        best=best,
        floors=floors if any(metric.floors for metric in found) else None,
        floor_name=floor_name(found),
    )


def _names(labels: Labels, settings: dict[Labels, str] | None) -> list[str]:
    return [*([value for _, value in labels] or ["all"]), *([] if settings is None else [settings[labels]])]


def floor_name(metrics: list[MetricValues]) -> str:
    """What held-out real data are called beside these values, with their number where it is one and known."""
    counts = {count for metric in metrics for count in metric.floor_images}
    things = " or ".join(dict.fromkeys(metric.things for metric in metrics if metric.floors))
    return f"real {things or 'images'}" + (f" ({counts.pop():,})" if len(counts) == 1 else "")


def _best(metric: MetricValues, places: dict[tuple[int, int], tuple[Entry, NumberFormat]]) -> set[tuple[int, int]]:
    """The best mean and all that print as it does; none of a variant with a seed that diverged."""
    badness = metric.badness
    whole = {place: each for place, (each, _) in places.items() if not each.diverged}
    if badness is None or len(whole) < 2:
        return set()
    texts = {place: written(each.mean) for place, (each, written) in places.items() if place in whole}
    least = min(whole, key=lambda place: badness(whole[place].mean))
    best = {place for place, text in texts.items() if text == texts[least]}
    return best if len(best) < len(whole) else set()


def _reported(axes: list[str], reported: Reported) -> TableBlock:
    entries = {labels: Entry(value, reported.spreads.get(labels), None) for labels, value in reported.values.items()}
    given = list(reported.values)
    crossed = len(axes) == 2 and all([axis for axis, _ in labels] == axes for labels in given)
    if crossed:
        first, second = (list(dict.fromkeys(dict(labels)[axis] for labels in given)) for axis in axes)
        stub, rows, heads = axes[:1], [[value] for value in first], [f"{axes[1]}={value}" for value in second]
        table = [[entries.get(((axes[0], row), (axes[1], column))) for column in second] for row in first]
    else:
        same = all([axis for axis, _ in labels] == axes for labels in given) and bool(axes)
        stub, heads = (axes if same else ["variant"]), [reported.name]
        rows = [[value for _, value in labels] if same else [label_text(labels)] for labels in given]
        table = [[entries[labels]] for labels in given]
    return TableBlock(
        heading=reported.name,
        note=f"{reported.source}. {reported.protocol}".strip(),
        reported=True,
        stub=stub,
        rows=rows,
        heads=heads,
        entries=table,
        formats=[as_reported] * len(heads),
    )
