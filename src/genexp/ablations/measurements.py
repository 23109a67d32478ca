"""The folder of an ablation's measurements, a sweep of `genexp evaluate`. Imports no torch."""

from pathlib import Path

from genexp.sweeps.paths import quoted
from genexp.sweeps.record import Job, SweepFolder


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
    """The file of the values that a measurement has left in its folder, or None."""
    return next(iter(folder.glob("*/metrics.json")), None)
