"""The folder of an ablation's measurements, a sweep of `genexp evaluate`. Imports no torch."""

import sys
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from genexp.config.quoting import quoted
from genexp.files.json_records import DamagedFile, read_json
from genexp.files.trees import Tree
from genexp.pool.record import Job, SweepFolder


class StoredValue(TypedDict):
    """One value of a measurement."""

    value: float
    better: NotRequired[str | None]
    floor: NotRequired[float | None]
    floor_images: NotRequired[int | None]
    error: NotRequired[float | None]
    protocol: NotRequired[Tree | None]


class Sampling(TypedDict):
    """How fast images were drawn."""

    sampling_seconds: float


class StoredValues(TypedDict):
    """`metrics.json` of one measurement."""

    values: dict[str, StoredValue]
    sampling: NotRequired[Sampling | None]


class MeasurementFolder(SweepFolder):
    """A sweep whose jobs are `genexp evaluate`: finished when the values are there."""

    def finished(self, job: Job) -> bool:
        """Whether the job has left its values."""
        return self.values_of(job) is not None

    def values_of(self, job: Job) -> Path | None:
        """The file of the job's values, or None."""
        return values_in(self.path / job.folder)

    def value(self, job: Job) -> float | None:
        """A measurement has many values and monitors none."""
        return None

    def arguments(self, job: Job) -> list[str]:
        """The command that measures."""
        return ["evaluate", *job.overrides, f"out={quoted(self.path / job.folder)}"]


def values_in(folder: Path) -> Path | None:
    """The file of the values that a measurement has left in its folder, or None.

    One that is damaged counts as none, which is said: it is measured anew.
    """
    file = next(iter(sorted(folder.glob("*/metrics.json"))), None)
    try:
        if file is not None:
            read_values(file)
    except DamagedFile as error:
        print(f"measured anew: {error}", file=sys.stderr)
        return None
    return file


def read_values(file: Path) -> Tree:
    """What a measurement has left.

    Raises:
        DamagedFile: the file cannot be read, or is none that `genexp evaluate` writes.
    """
    return read_json(file, StoredValues)
