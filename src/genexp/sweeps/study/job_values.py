"""What a job has measured so far, read from its journal. Imports no torch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genexp.runs.run_folder import RunFolder

_OWN = ("images_seen", "seconds")


@dataclass
class JobValues:
    """The evaluations of one job.

    Args:
        folder: Its run folder.
        metric: Name of a value, or its part before the first slash (`fd`) or before the protocol (`fd/digits`).
        every: Images between two evaluations, or None where a job does not say.
        name: The value's full name, protocol included; None before it was measured.
    """

    folder: Path
    metric: str
    every: float | None = None
    name: str | None = None
    _stamp: tuple[int, int] = (0, 0)
    _values: list[tuple[int, float]] = field(default_factory=list)

    def values(self) -> list[tuple[int, float]]:
        """Pairs of step and value, oldest first. A step is the evaluation's place in the schedule, in images.

        An evaluation takes place after a whole batch; with steps taken from the schedule, jobs of different batch sizes
        can be compared at the same step.

        Raises:
            ValueError: the name fits several values.
        """
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return []
        status = path.stat()
        if (status.st_mtime_ns, status.st_size) != self._stamp:
            self._stamp = (status.st_mtime_ns, status.st_size)
            self._values = list(self._read())
        return self._values

    def _read(self) -> Iterator[tuple[int, float]]:
        rows = RunFolder(self.folder).history()
        names = sorted({name for row in rows for name in row if name not in _OWN and fits(name, self.metric)})
        self.name = names[0] if names else None
        if len(names) > 1:
            raise ValueError(f"metric must fit one value of a job, got {self.metric}, which fits {', '.join(names)}")
        measured = [row for row in rows if names and names[0] in row]
        for i, row in enumerate(measured, start=1):
            scheduled = row["images_seen"] if not self.every else min(row["images_seen"], i * self.every)
            yield int(scheduled), row[names[0]]

    def value(self, at: str, direction: str) -> float | None:
        """The job's value: the `best` of all, or the `last`; None before there is one, NaN when there is no number."""
        found = [value for _, value in self.values()]
        if not found:
            return None
        if at == "last":
            return found[-1]
        numbers = [value for value in found if not math.isnan(value)]
        return (min if direction == "minimize" else max)(numbers) if numbers else math.nan


def fits(name: str, metric: str) -> bool:
    """Whether a value has this name, in full, without its protocol, or without what follows the first slash."""
    short = name.split("@")[0]
    return metric in (name, short) or ("@" in name and short.split("/")[0] == metric)


def reported(folder: Path) -> list[str]:
    """Names of all that a job's evaluations have measured, without protocols."""
    rows = RunFolder(folder).history()
    names = {name.split("@")[0] for row in rows for name in row if name not in _OWN}
    return sorted(name for name in names if not name.startswith("train/"))
