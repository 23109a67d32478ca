"""Runs compared: rows of equal configuration, values averaged over seeds, the best row of every column."""

import fnmatch
import math
from collections.abc import Sequence
from statistics import fmean, stdev

from genexp.reports.columns import Column, columns, measured_by_default
from genexp.reports.settings import ABSENT, Differing, Settings, differing, tied
from genexp.reports.table import Comparison, Row, TableCell, ValueColumn, setting_of
from genexp.runs.directions import badness, direction, metric_name
from genexp.runs.measurements import MADE_BY, NOT_DRAWN, Measurement
from genexp.runs.stored import Damaged, StoredRun


def compare_runs(
    runs: Sequence[StoredRun],
    damaged: Sequence[Damaged] = (),
    metrics: Sequence[str] | None = None,
    by: Sequence[str] = ("seed",),
    sort: str | None = None,
    settings: Sequence[str] | None = None,
    source: str = "auto",
    split: bool = True,
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: The runs.
        damaged: Folders that could not be read.
        metrics: Values to show: keys, metric names or patterns. None shows all with a protocol and all monitored.
        by: Settings that runs are averaged over; runs of a row differ in these alone. Empty gives each run its own row.
        sort: Column to sort by, with `-` in front for the other way round; by default the first value, best first.
        settings: Settings to show; None shows what differs.
        source: `auto`, `training` or `evaluate`, see `columns`.
        split: Whether values of one key under several protocols get columns of their own instead of an error.

    Raises:
        MixedProtocols: one column would hold values that were measured differently, and `split` is off.
        ValueError: `metrics`, `by`, `sort` or `settings` names what no run has.
    """
    known = {key for run in runs for key in run.settings}
    for key in by:
        if runs and key not in known:
            raise ValueError(f"by must be keys of these configurations, got {key}")
    monitors = _monitors(runs)
    found, notes = columns(runs, source, split)
    chosen = [_directed(each, monitors) for each in _chosen(found, metrics, set(monitors))]
    rows, more = _rows(runs, chosen, by)
    used = sorted({number for row in rows for number in row.cells})  # the others are values of runs left out alone
    chosen = [chosen[number] for number in used]
    for row in rows:
        row.cells = {new: row.cells[old] for new, old in enumerate(used) if old in row.cells}
    notes = [note for note in notes if note.split(": ")[0] in {each.column.key for each in chosen}] + more
    hidden = {key for each in by for key in tied(each, [run.settings for run in runs])}
    shown = _settings(runs, rows, hidden, settings)
    for number, column in enumerate(chosen):
        _mark_best(rows, number, column)
    _sort(rows, sort, shown, chosen)
    commits = {(run.record.get("git") or {}).get("commit") for run in runs} - {None}
    if len(commits) > 1:
        notes.append(f"the runs come from {len(commits)} commits of the code")
    return Comparison(list(runs), list(damaged), shown, chosen, rows, notes)


def _monitors(runs: Sequence[StoredRun]) -> dict[str, str]:
    pairs = ((run.settings.get("training.monitor"), run.settings.get("training.monitor_mode")) for run in runs)
    return {str(name): str(mode) for name, mode in pairs if name}


def _chosen(found: list[Column], metrics: Sequence[str] | None, monitored: set[str]) -> list[Column]:
    if metrics is None:
        return [each for each in found if measured_by_default(each, monitored)]
    chosen: dict[str, Column] = {}
    for wanted in metrics:
        hits = [
            each
            for each in found
            if wanted in (each.key, metric_name(each.key)) or fnmatch.fnmatchcase(each.key, wanted)
        ]
        if not hits:
            known = ", ".join(sorted({each.key for each in found})) or "none"
            raise ValueError(f"metrics must name values of these runs ({known}), got {wanted}")
        chosen |= {each.name: each for each in hits}
    return list(chosen.values())


def _directed(column: Column, monitors: dict[str, str]) -> ValueColumn:
    recorded = next((each.better for each in column.all if each.better), None)
    floors = [each.floor for each in column.all if each.floor is not None]
    return ValueColumn(
        column, direction(column.key, recorded, monitors), (min(floors), max(floors)) if floors else None
    )


Unit = tuple[int, Settings, dict[int, Measurement]]


def _units(runs: Sequence[StoredRun], chosen: list[ValueColumn]) -> list[Unit]:
    """A run, or one of its ways of drawing images where several were measured, with its values by column.

    A value of the model itself, for which no images are drawn, stands beside those of images of the same weights.
    """
    units: list[Unit] = []
    for i, run in enumerate(runs):
        mine = {number: each.column.values.get(i, []) for number, each in enumerate(chosen)}
        for way in _ways([m.made_by for found in mine.values() for m in found if m.made_by]):
            made = {} if way is None else {f"evaluation.{k}": v for k, v in zip(MADE_BY, way, strict=True)}
            belong = (way, None) if way is None else (way, (way[0], NOT_DRAWN), None)
            values = {number: m for number, found in mine.items() for m in found if m.made_by in belong}
            units.append((i, {**run.settings, **made}, values))
    return units


def _ways(measured: list[tuple[str, str]]) -> list[tuple[str, str] | None]:
    """The ways of drawing images, and those weights of which no image was measured; None alone where nothing was."""
    drawn = [way for way in dict.fromkeys(measured) if way[1] != NOT_DRAWN]
    known = {weights for weights, _ in drawn}
    return [*drawn, *(way for way in dict.fromkeys(measured) if way[0] not in known)] or [None]


def _rows(runs: Sequence[StoredRun], chosen: list[ValueColumn], by: Sequence[str]) -> tuple[list[Row], list[str]]:
    hidden = {key for each in by for key in tied(each, [run.settings for run in runs])}
    groups: dict[tuple, list[Unit]] = {}
    for unit in _units(runs, chosen):
        i, settings, _ = unit
        same = tuple(sorted((key, repr(value)) for key, value in settings.items() if key not in hidden))
        groups.setdefault((runs[i].finished, same if by else (*same, i)), []).append(unit)
    rows, repeats = [], 0
    for (finished, _), units in groups.items():
        kept: dict[tuple, Unit] = {}
        for unit in sorted(units, key=lambda unit: runs[unit[0]].started):
            place = tuple(repr(unit[1].get(key)) for key in by) if finished else (unit[0],)
            repeats += place in kept
            kept[place] = unit
        rows.append(_row(runs, list(kept.values()), by, finished))
    what = "run repeats" if repeats == 1 else "runs repeat"
    return rows, [f"{repeats} finished {what} a seed of another; the newest counts"] if repeats else []


def _row(runs: Sequence[StoredRun], units: list[Unit], by: Sequence[str], finished: bool) -> Row:
    first = units[0]
    seeds = [", ".join(str(settings.get(key)) for key in by) for _, settings, _ in units]
    row = Row(first[1], runs[first[0]].choices, [i for i, _, _ in units], seeds, finished)
    for number in dict.fromkeys(number for _, _, values in units for number in values):
        found = {i: values[number] for i, _, values in units if number in values}
        values = {i: float(each.value) for i, each in found.items()}
        spread = stdev(values.values()) if len(values) > 1 else None
        error = next(iter(found.values())).error if len(found) == 1 else None
        row.cells[number] = TableCell(fmean(values.values()), spread, values, error)
    return row


def _settings(
    runs: Sequence[StoredRun], rows: list[Row], hidden: set[str], keys: Sequence[str] | None
) -> list[Differing]:
    if keys is None:
        typed = {key for run in runs for key in run.typed}
        return differing([row.settings for row in rows], [row.choices for row in rows], typed, hidden)
    known = {key for row in rows for key in (*row.settings, *row.choices)}
    for key in keys:
        if key not in known:
            raise ValueError(f"settings must be keys of these configurations, got {key}")
    return [Differing(key) for key in keys]


def _mark_best(rows: list[Row], number: int, column: ValueColumn) -> None:
    means = [row.cells[number].mean for row in rows if row.finished and number in row.cells]
    aim = badness(column.better, column.floors)
    if aim is None or len(means) < 2 or all(math.isnan(mean) for mean in means):
        return
    least = min(aim(mean) for mean in means if not math.isnan(mean))
    for row in rows:
        if row.finished and number in row.cells and aim(row.cells[number].mean) == least:
            row.best.add(number)


def _sort(rows: list[Row], sort: str | None, shown: list[Differing], chosen: list[ValueColumn]) -> None:
    wanted = None if sort is None else sort.removeprefix("-")
    hits = [
        n for n, each in enumerate(chosen) if wanted in (None, each.name, each.column.key, metric_name(each.column.key))
    ]
    if hits:
        aim = badness(chosen[hits[0]].better, chosen[hits[0]].floors) or (lambda mean: mean)
        means = {id(row): row.cells[hits[0]].mean for row in rows if hits[0] in row.cells}
        place = {row: math.inf if math.isnan(mean) else aim(mean) for row, mean in means.items()}
    elif wanted is None:
        keys = [each.key for each in shown]
        place = {id(row): [_order(setting_of(row, key)) for key in keys] for row in rows}
    elif any(wanted in (*row.settings, *row.choices) for row in rows):
        place = {id(row): _order(setting_of(row, wanted)) for row in rows}
    else:
        names = ", ".join([each.name for each in chosen] + [each.key for each in shown])
        raise ValueError(f"sort must be a column ({names}) or a setting, got {sort}")
    ordered = sorted((row for row in rows if id(row) in place), key=lambda row: place[id(row)])
    if sort is not None and sort.startswith("-"):
        ordered.reverse()
    rest = [row for row in rows if id(row) not in place]
    rows[:] = sorted(ordered + rest, key=lambda row: not row.finished)


def _order(value: object) -> tuple:
    """Numbers by size, then everything else as text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, value, "")
    return (2, 0, "") if value is ABSENT else (1, 0, str(value))
