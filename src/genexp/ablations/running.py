"""Carries out a plan: trainings, then measurements, each in a process of its own, and only what is missing."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from genexp.ablations.plan import Drawing, Plan, Training
from genexp.runs.config import compose
from genexp.runs.folder import DamagedRun, RunFolder
from genexp.runs.launch import typed_environment
from genexp.sweeps.connection import Connection
from genexp.sweeps.paths import quoted
from genexp.sweeps.pool import Pool, Task
from genexp.sweeps.record import Job, SweepFolder
from genexp.sweeps.slots import Need, make_slots, need_of, visible_gpus


class MeasurementFolder(SweepFolder):
    """A sweep whose jobs are `genexp evaluate`: finished when the values are there."""

    def finished(self, job: Job) -> bool:
        """Whether the job has left its values."""
        return self.values_of(job) is not None

    def values_of(self, job: Job) -> Path | None:
        """The file of the job's values, or None."""
        return next(iter((self.path / job.folder).glob("*/metrics.json")), None)

    def value(self, job: Job) -> float | None:
        """A measurement has many values and monitors none."""
        return None

    def arguments(self, job: Job) -> list[str]:
        """The command that measures."""
        return ["evaluate", *job.overrides, f"out={quoted(self.path / job.folder)}"]


class Workers:
    """The processes that carry out an ablation.

    Args:
        folder: The ablation's folder; `runs/` and `measurements/` in it are sweeps that can be continued.
        slots: Places to run on, see `make_slots`.
        threads: CPU threads of a job, see `make_slots`.
        timeout: Seconds a job may take, or None.
        grace: Seconds between asking a job to end and killing it.
    """

    def __init__(self, folder: Path, slots: Any, threads: Any, timeout: float | None, grace: float) -> None:
        self.folder, self.slots, self.threads = folder, slots, threads
        self.timeout, self.grace = timeout, grace
        self.runs = opened(SweepFolder, folder / "runs")
        self.measurements = opened(MeasurementFolder, folder / "measurements")
        self._connection: Connection | None = None
        self._gpus: list[str] = []

    def close(self) -> None:
        """End the processes and let another command continue the ablation."""
        if self._connection is not None:
            self._connection.close()
        for sweep in (self.runs, self.measurements):
            sweep.release()

    def job_of(self, training: Training) -> Job:
        """The job of a training in the record, new or begun earlier; ask once for each."""
        return self.runs.job_for(list(training.overrides))

    def train(self, jobs: dict[Training, Job]) -> None:
        """Train what is not trained yet."""
        missing = {each: job for each, job in jobs.items() if not (self._done(self.runs, job) or self.diverged(job))}
        if missing:
            self._connect()
        configs = {typical: compose("train", list(typical)) for typical in {each.typical for each in missing}}
        tasks = []
        for training, job in missing.items():
            config = configs[training.typical]
            need = need_of(config, len(self._gpus))
            tasks.append(Task(job, f"{job.number} {training.title}", need, config.training.max_images))
        self.carry_out(self.runs, tasks)

    def measure(self, plan: Plan, jobs: dict[Training, Job]) -> dict[Drawing, Job]:
        """Draw and measure what is not measured yet, of the models that are trained; returns the job of each."""
        trained = [each for each in plan.drawings if self.runs.finished(jobs[each.training])]
        found = {}
        for drawing in trained:
            run = (self.runs.path / jobs[drawing.training].folder).resolve()
            found[drawing] = self.measurements.job_for(drawing.overrides(plan.ablation, run))
        missing = [each for each, job in found.items() if not self._done(self.measurements, job)]
        if missing:
            self._connect()
        need = Need("gpu" if self._gpus else "cpu", 1)
        tasks = [Task(found[each], f"{found[each].number} {each.title}", need) for each in missing]
        self.carry_out(self.measurements, tasks)
        return found

    def diverged(self, job: Job) -> bool:
        """Whether a training ended because its loss was no longer a number, as it would again."""
        try:
            record = self.run_of(job).record
        except DamagedRun:
            return False
        return record.get("state") == "failed" and str(record.get("error")).startswith("NonFiniteLoss")

    def run_of(self, job: Job) -> RunFolder:
        """The run folder of a training."""
        return self.runs.run_folder(job)

    def _done(self, sweep: SweepFolder, job: Job) -> bool:
        if not sweep.finished(job):
            return False
        job.state = "finished"
        return True

    def carry_out(self, sweep: SweepFolder, tasks: Sequence[Task]) -> None:
        """Run tasks of a sweep to their end, side by side on the places there are."""
        sweep.save()
        if not tasks:
            return
        self._connect()
        slots = make_slots(self.slots, self.threads, [task.need for task in tasks], self._gpus)
        for task in tasks:
            slots.require_room(task.need)
        Pool(sweep, self._connection, slots, self.timeout, self.grace).run(tasks)

    @property
    def places(self) -> int:
        """Jobs that run side by side."""
        need = Need("gpu" if self._gpus else "cpu", 1)
        slots = make_slots(self.slots, self.threads, [need] * 1024, self._gpus)
        return len(slots.gpus) or slots.cpus

    def _connect(self) -> None:
        if self._connection is None:
            log = self.folder / "server.log"
            preload = sys.platform.startswith("linux")
            self._connection = Connection(log, preload, self.grace, self.runs.lock, typed_environment())
            self._gpus = visible_gpus(self._connection.ready()["gpus"])


def require_composable(plan: Plan, trainings: Iterable[Training]) -> None:
    """Check the configuration of all trainings before any is started.

    Raises:
        ValueError: an override names what there is not.
    """
    from genexp.commands.validate import problems_of

    for typical in dict.fromkeys(each.typical for each in trainings):
        problems = problems_of("train", list(typical))
        if problems:
            raise ValueError(f"{plan.ablation.name}: {'; '.join(problems)}, in genexp train {' '.join(typical)}")


def opened(kind: type[SweepFolder], path: Path) -> Any:
    """The sweep of a folder: the one that is there, to be continued, or a new one."""
    return kind(path, resume=(path / "sweep.json").is_file())
