"""Hydra's jobs made into tasks of the pool, and their outcome into what a sweeper expects. Imports no torch."""

import atexit
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from genexp.runs.launch import typed_environment
from genexp.sweeps.connection import Connection
from genexp.sweeps.errors import JobFailed, SweepInterrupted
from genexp.sweeps.pool import Pool, Task
from genexp.sweeps.record import Job, SweepFolder
from genexp.sweeps.slots import Need, make_slots, need_of, visible_gpus
from genexp.terminal import duration, print_columns, shown_path

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
    def return_value(self, value: Any) -> None:
        self._return_value = value


class Launching:
    """Everything that one sweep needs, over all batches that its sweeper asks for.

    Args:
        context: Hydra's loader.
        config: Hydra's configuration of the sweep.
        slots: Places to run on, see `make_slots`.
        threads: CPU threads of a job, see `make_slots`.
        timeout: Seconds a job may take, or None.
        grace: Seconds between asking a job to end and killing it.
        preload: `auto`, true or false: whether jobs are forks of a process that has imported everything.
        resume: Whether the folder `hydra.sweep.dir` holds a sweep to be continued.
    """

    def __init__(
        self,
        context: HydraContext,
        config: DictConfig,
        slots: Any,
        threads: Any,
        timeout: float | None,
        grace: float,
        preload: Any,
        resume: bool,
    ) -> None:
        if sys.platform == "win32":
            raise ValueError("hydra/launcher must be basic on Windows, which has no process groups, got pool")
        if preload not in ("auto", True, False):
            raise ValueError(f"hydra.launcher.preload must be auto, true or false, got {preload!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"hydra.launcher.timeout must be null or seconds above 0, got {timeout}")
        self.context, self.config = context, config
        self.slots = OmegaConf.to_container(slots) if OmegaConf.is_config(slots) else slots
        self.threads, self.timeout, self.grace, self.resume = threads, timeout, grace, resume
        self.preload = sys.platform.startswith("linux") if preload == "auto" else preload
        self.sweep: SweepFolder | None = None
        self.connection: Connection | None = None
        self.gpus: list[str] = []
        self._known: dict[tuple[str, ...], DictConfig] = {}

    def launch(self, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Run one batch of jobs; those that an earlier command has finished are not run again."""
        configs = [self.composed(overrides) for overrides in batch]
        self.open()
        jobs = [self.sweep.job_for(list(overrides)) for overrides in batch]
        self.sweep.save()
        done = [self._note_finished(job) for job in jobs]
        tasks = [
            Task(job, name, need_of(config, 0), length_of(config))
            for job, name, config in zip(jobs, _names(jobs, self.sweep.jobs), configs, strict=True)
        ]
        try:
            self._run(tasks, done, configs)
        except SweepInterrupted:
            self.say_how_to_go_on()
            raise
        self._report(tasks)
        return self._returns(tasks, batch)

    def open(self) -> SweepFolder:
        """The sweep's folder, claimed at the first call."""
        if self.sweep is None:
            path = Path(self.config.hydra.sweep.dir).resolve()
            self.sweep = SweepFolder(path, sys.argv[1:], _for_every_job(self.config), self.resume)
            print(f"sweep     {shown_path(self.sweep.path)}", file=sys.stderr)
        return self.sweep

    def _run(self, tasks: list[Task], done: list[bool], configs: list[DictConfig]) -> None:
        missing = [i for i, each in enumerate(done) if not each]
        if len(missing) < len(tasks):
            print(f"finished  {len(tasks) - len(missing)} of {len(tasks)} jobs already", file=sys.stderr)
        if not missing:
            return
        self.connect()
        for i in missing:
            tasks[i].need = need_of(configs[i], len(self.gpus))
        pool = self.pool([tasks[i].need for i in missing])
        pool.run([tasks[i] for i in missing], [task for task, each in zip(tasks, done, strict=True) if each])

    def pool(self, needs: Sequence[Need]) -> Pool:
        """A pool with room for jobs of these needs; `connect` comes first."""
        slots = make_slots(self.slots, self.threads, needs, self.gpus)
        for need in needs:
            slots.require_room(need)
        return Pool(self.sweep, self.connection, slots, self.timeout, self.grace)

    def connect(self) -> None:
        """Start the process that starts jobs, once."""
        if self.connection is not None:
            return
        if self.preload:
            print("loading   once for all jobs", file=sys.stderr, flush=True)
        log = self.sweep.path / "server.log"
        self.connection = Connection(log, self.preload, self.grace, self.sweep.lock, typed_environment())
        atexit.register(self.connection.close)
        self.gpus = visible_gpus(self.connection.ready()["gpus"])

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
        print(f"continue with  genexp train sweep.resume={shown_path(self.sweep.path)}", file=sys.stderr)

    def _returns(self, tasks: Sequence[Task], batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        failed = [task for task in tasks if task.job.state != "finished"]
        named = ", ".join(f"job {task.name} ({task.job.state})" for task in failed)
        error = JobFailed(
            f"{len(failed)} of {len(tasks)} jobs did not finish: {named}. Each has its job.log in its folder; "
            f"sweep.resume={shown_path(self.sweep.path)} runs them again, and no other"
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


def _names(jobs: Sequence[Job], all_jobs: Sequence[Job]) -> list[str]:
    """Numbers, each with the overrides that not all jobs of the sweep share."""
    shared = set(all_jobs[0].overrides).intersection(*(job.overrides for job in all_jobs))
    return [f"{job.number} {' '.join(each for each in job.overrides if each not in shared)}".rstrip() for job in jobs]
