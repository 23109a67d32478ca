"""Hydra's jobs made into tasks, and their outcome into what a sweeper expects. Imports no torch."""

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from genexp.config.composition_errors import options
from genexp.config.messages import JobFailed, SweepInterrupted
from genexp.pool.queue import Task
from genexp.pool.record import Job, SweepFolder
from genexp.pool.slots import need_of
from genexp.terminal import duration, print_columns, shown_path, typed_path

_OF_THE_SWEEP = ("hydra.mode", "hydra.sweep", "hydra/sweep", "hydra.launcher", "hydra/launcher")
_UNREAD = re.compile(r"(seed|name|notes|tags|(model|data|optimizer|sampler|metrics|callbacks|logger|ramp)\.[\w.]+)=")


class Outcome(JobReturn):
    """What a sweeper gets for a job; Hydra's own would print all overrides of the first failed job again."""

    @property
    def return_value(self) -> float | None:
        """The job's value.

        Raises:
            JobFailed: it has none.
        """
        if self.status != JobStatus.COMPLETED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: object) -> None:
        self._return_value = value


class Batches(ABC):
    """What one sweep does with the batches that its sweeper asks for, wherever the jobs run.

    Args:
        context: Hydra's loader.
        config: Hydra's configuration of the sweep.
        resume: Whether the folder `hydra.sweep.dir` holds a sweep to be continued.
        trust: Whether runs in it that another user has begun are continued.
    """

    asked: ClassVar[Path | None] = None
    """The folder of the sweep that was asked for last."""

    def __init__(self, context: HydraContext, config: DictConfig, resume: bool, trust: bool = False) -> None:
        Batches.asked = Path(config.hydra.sweep.dir).resolve()
        self.context, self.config, self.resume, self.trust = context, config, resume, trust
        self.sweep: SweepFolder | None = None
        self._known: dict[tuple[str, ...], DictConfig] = {}

    @abstractmethod
    def carry_out(self, tasks: Sequence[Task], configs: Sequence[DictConfig], others: Sequence[Task]) -> None:
        """Run tasks to their end; their outcome is in their records.

        Args:
            tasks: What to run, at least one.
            configs: The configuration of each, as `composed` gives it.
            others: What is shown with it, already finished.

        Raises:
            SweepInterrupted: the command was asked to end.
        """

    def launch(self, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Run one batch of jobs; those that an earlier command has finished are not run again."""
        _require_jobs(batch, list(self.config.hydra.overrides.task))
        configs = [self.composed(overrides) for overrides in batch]
        self.open()
        jobs = [self.sweep.job_for(list(overrides)) for overrides in batch]
        self.sweep.save()
        tasks = [
            Task(job, name, need_of(config, 0), length_of(config))
            for job, name, config in zip(jobs, _names(jobs, self.sweep.jobs), configs, strict=True)
        ]
        done = [self._note_finished(job) for job in jobs]
        missing = [i for i, each in enumerate(done) if not each]
        others = [task for task, each in zip(tasks, done, strict=True) if each]
        if others:
            print(f"finished  {len(others)} of {len(tasks)} jobs already", file=sys.stderr)
        try:
            if missing:
                self.carry_out([tasks[i] for i in missing], [configs[i] for i in missing], others)
        except SweepInterrupted:
            self.say_how_to_go_on()
            raise
        self._report(tasks)
        return self._returns(tasks, batch)

    def open(self) -> SweepFolder:
        """The sweep's folder, claimed at the first call."""
        if self.sweep is None:
            path = Path(self.config.hydra.sweep.dir).resolve()
            self.sweep = SweepFolder(path, _asked(self.config), _for_every_job(self.config), self.resume, self.trust)
            print(f"sweep     {shown_path(self.sweep.path)}", file=sys.stderr)
        return self.sweep

    def composed(self, overrides: Sequence[str]) -> DictConfig:
        """A job's configuration as far as the pool reads it; values of other parts are left out, so jobs share it.

        Raises:
            ValueError: it says where the job runs, which the sweep does.
        """
        read = tuple(each for each in overrides if not _UNREAD.match(each))
        if read not in self._known:
            self._known[read] = self.compose(read)
            _require_own_folder(self._known[read])
        return self._known[read]

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """A job's whole configuration."""
        return self.context.config_loader.load_sweep_config(self.config, list(overrides))

    def _note_finished(self, job: Job) -> bool:
        if not self.sweep.finished(job):
            return False
        job.state, job.value = "finished", self.sweep.value(job)
        return True

    def _report(self, tasks: Sequence[Task]) -> None:
        rows = [
            (
                task.name,
                task.job.state,
                "" if task.job.value is None else f"{task.job.value:.4g}",
                duration(task.job.seconds),
                shown_path(self.sweep.path / task.job.folder),
            )
            for task in tasks
        ]
        print_columns(("job", "state", "best", "time", "run folder"), rows)

    def say_how_to_go_on(self) -> None:
        """Print the command that continues the sweep."""
        print(f"continue with  genexp train sweep.resume={typed_path(self.sweep.path)}", file=sys.stderr)

    def _returns(self, tasks: Sequence[Task], batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        failed = [task for task in tasks if task.job.state != "finished"]
        named = ", ".join(f"job {task.name} ({task.job.state})" for task in failed)
        error = JobFailed(
            f"{len(failed)} of {len(tasks)} jobs did not finish: {named}. Each has its job.log in its folder; "
            f"sweep.resume={typed_path(self.sweep.path)} runs them again, and no other"
        )
        returns = []
        for task, overrides in zip(tasks, batch, strict=True):
            finished = task.job.state == "finished"
            returned = Outcome(overrides=list(overrides), task_name="train")
            returned.working_dir = str(self.sweep.path / task.job.folder)
            returned.status = JobStatus.COMPLETED if finished else JobStatus.FAILED
            returned.return_value = task.job.value if finished else error
            returns.append(returned)
        return returns


def _require_own_folder(config: DictConfig) -> None:
    for key, instead in (
        ("run_dir", "every job has a folder of its own below hydra.sweep.dir"),
        ("resume", "a sweep is continued with sweep.resume=<its folder>"),
    ):
        if config.get(key) is not None:
            raise ValueError(f"{key} must be null in a sweep, got {config[key]}: {instead}")


def _for_every_job(config: DictConfig) -> list[str]:
    """Hydra's own flags and keys that say what a job is, without those that say how a sweep is run."""
    sources = [each.path for each in config.hydra.runtime.config_sources if each.provider == "command-line"]
    flags = [f"--config-dir={path}" for path in sources]
    if config.hydra.job.config_name != "train":
        flags.append(f"--config-name={config.hydra.job.config_name}")
    return [*flags, *(each for each in config.hydra.overrides.hydra if not each.startswith(_OF_THE_SWEEP))]


def length_of(config: DictConfig) -> float | None:
    """Images that a job trains on, where its configuration says."""
    training = config.get("training")
    return training.get("max_images") if training else None


def _asked(config: DictConfig) -> list[str]:
    """The words of the sweep, as Hydra was given them."""
    given = config.hydra.overrides
    return ["-m", *(each for each in given.hydra if not each.startswith("hydra.mode=")), *given.task]


def _require_jobs(batch: Sequence[Sequence[str]], typed: Sequence[str]) -> None:
    """Refuse a sweep without jobs, naming the override that gives no value and what there is."""
    if batch:
        return
    empty = []
    for each in OverridesParser.create().parse_overrides(list(typed)):
        if each.is_sweep_override():
            value = each.value()
            known = options(each.key_or_group) if isinstance(value, Glob) else None
            if not (value.filter(known) if known is not None else list(each.sweep_iterator())):
                empty.append(
                    f"{each.input_line} (there are {', '.join(name for name in known if '/' not in name)})"
                    if known
                    else each.input_line
                )
    raise ValueError(f"a sweep must have at least one job, got none from {' '.join(empty or typed)}")


def _names(jobs: Sequence[Job], all_jobs: Sequence[Job]) -> list[str]:
    """Numbers, each with the overrides that not all jobs of the sweep share."""
    shared = set(all_jobs[0].overrides).intersection(*(job.overrides for job in all_jobs))
    return [f"{job.number} {' '.join(each for each in job.overrides if each not in shared)}".rstrip() for job in jobs]
