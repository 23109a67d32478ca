"""The parts of a comparison: rows, their cells, and columns of values."""

from dataclasses import dataclass, field

from genexp.reports.columns import Column
from genexp.reports.settings import ABSENT, Differing, Settings
from genexp.runs.stored import Damaged, StoredRun


@dataclass(frozen=True)
class TableCell:
    """A row's value in a column.

    Args:
        mean: Mean over the runs.
        std: Sample standard deviation over the runs, or None for a single one.
        values: The value of each run, by the run's number.
        error: Standard error of a single run's value over groups of samples, where known.
    """

    mean: float
    std: float | None
    values: dict[int, float]
    error: float | None = None

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(self.values)


@dataclass
class Row:
    """Runs of one configuration and one state.

    Args:
        settings: All settings of the first run, and `evaluation.weights` and `evaluation.sampler` where measured.
        choices: Its configuration groups.
        runs: Numbers of the runs.
        seeds: What they were averaged over, by run.
        finished: Whether they came to their end.
        cells: Values by column number.
        best: Numbers of the columns in which no finished row is better.
    """

    settings: Settings
    choices: dict[str, str]
    runs: list[int]
    seeds: list[str]
    finished: bool
    cells: dict[int, TableCell] = field(default_factory=dict)
    best: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class ValueColumn:
    """A column of values with its direction and what real images reach.

    Args:
        column: The values.
        better: `lower`, `higher`, `reference` or None.
        floors: Smallest and largest value of held-out real images, or None.
    """

    column: Column
    better: str | None
    floors: tuple[float, float] | None

    @property
    def name(self) -> str:
        """What heads the column."""
        return self.column.name


@dataclass(frozen=True)
class Comparison:
    """All that a report shows.

    Args:
        runs: The readable runs.
        damaged: Folders that could not be read.
        settings: Settings that have a column.
        columns: Values that have a column.
        rows: The rows, in the order shown.
        notes: What a reader must know.
    """

    runs: list[StoredRun]
    damaged: list[Damaged]
    settings: list[Differing]
    columns: list[ValueColumn]
    rows: list[Row]
    notes: list[str]


def setting_of(row: Row, key: str) -> object:
    """A row's value of a setting or configuration group; `ABSENT` where it has none."""
    return row.choices[key] if key in row.choices else row.settings.get(key, ABSENT)
