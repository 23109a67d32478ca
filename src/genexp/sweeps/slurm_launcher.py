"""Hydra's jobs handed to SLURM through submitit: an array task a job, a task of SLURM a rank. Imports no torch."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genexp.config.messages import SweepInterrupted
from genexp.files.trees import Tree
from genexp.pool.display import Display, Line
from genexp.pool.environment import with_threads
from genexp.pool.job_progress import read_progress, tail
from genexp.pool.queue import Task
from genexp.pool.record import is_begun
from genexp.ranks import without_ranks
from genexp.runs.run_folder import RunFolder
from genexp.sweeps.hydra_batches import Batches
from genexp.sweeps.slurm_job import SubmittedJob
from genexp.terminal import duration, shown_path

if TYPE_CHECKING:
    import submitit

ALIVE = ("PENDING", "CONFIGURING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED", "COMPLETING", "PREEMPTED")
"""States of SLURM in which a job is still to run, or running."""


class Submitting(Batches):
    """A sweep whose jobs a cluster runs.

    Args:
        context: Hydra's loader.
        config: Hydra's configuration of the sweep.
        cluster: `slurm`, or `local` for processes of this machine.
        poll: Seconds between two looks at the jobs.
        resume: Whether the folder `hydra.sweep.dir` holds a sweep to be continued.
        trust: Has no effect here: requeued jobs take nothing from their folders but weights.
        settings: What hydra-submitit-launcher takes.

    Raises:
        ValueError: a setting is unknown or of the wrong type, there is no SLURM, or the extra `slurm` is not installed.
    """

    def __init__(
        self,
        context: HydraContext,
        config: DictConfig,
        cluster: str,
        poll: float,
        resume: bool,
        trust: bool,
        **settings: Any,
    ) -> None:
        super().__init__(context, config, resume, trust)
        if cluster not in ("slurm", "local"):
            raise ValueError(f"hydra.launcher.cluster must be slurm or local, got {cluster!r}")
        if cluster == "slurm" and shutil.which("srun") is None:
            raise ValueError("launcher=slurm must be used on a machine of the cluster, got one without srun")
        if not poll > 0:
            raise ValueError(f"hydra.launcher.poll must be seconds above 0, got {poll}")
        self.cluster, self.poll = cluster, poll
        self.common, self.special = queue_settings(cluster, settings)

    def carry_out(self, tasks: Sequence[Task], configs: Sequence[DictConfig], others: Sequence[Task]) -> None:
        """Hand tasks in and wait for them, see `Batches`."""
        submitted = self._submit(tasks, [self._resources(config) for config in configs])
        try:
            self._wait(tasks, submitted, others)
        except KeyboardInterrupt as interrupt:
            named = " ".join(sorted({job.job_id.split("_")[0] for job in submitted.values()}))
            cancel = f"; end them with  scancel {named}" if self.cluster == "slurm" else ""
            print(f"\nthe jobs go on without this command{cancel}", file=sys.stderr)
            raise SweepInterrupted(130) from interrupt

    def _resources(self, config: DictConfig) -> dict[str, int]:
        """Nodes, tasks and GPUs of one job, from its trainer."""
        processes, nodes = require_submittable(config.trainer), int(config.trainer.num_nodes)
        gpus = self.common.get("gpus_per_node", "auto")
        if gpus == "auto":
            gpus = 0 if str(config.trainer.accelerator) == "cpu" else processes
        return {"nodes": nodes, "tasks_per_node": processes, "gpus_per_node": int(gpus)}

    def _submit(self, tasks: Sequence[Task], wanted: Sequence[dict[str, int]]) -> dict[int, "submitit.Job"]:
        """Hand in an array for all jobs of the same needs; jobs that an earlier command has handed in are not again."""
        found: dict[int, submitit.Job] = {}
        for needs in {tuple(each.items()) for each in wanted}:
            executor = self._executor(dict(needs))
            mine = [i for i, each in enumerate(wanted) if tuple(each.items()) == needs]
            ranks = dict(needs)["nodes"] * dict(needs)["tasks_per_node"]
            found |= {i: job for i in mine if (job := still_alive(executor, tasks[i].job.submitted, ranks)) is not None}
            new = [i for i in mine if i not in found]
            if new:
                with _environment(self._environment()), executor.batch():
                    jobs = [executor.submit(self._callable(tasks[i])) for i in new]
                found |= dict(zip(new, jobs, strict=True))
        for i, job in found.items():
            tasks[i].job.submitted = job.job_id
            tasks[i].job.state = "waiting"
        self.sweep.save()
        names = ", ".join(sorted({job.job_id.split("_")[0] for job in found.values()}))
        if found:
            print(f"submitted {len(found)} jobs to {self.cluster} ({names})", file=sys.stderr)
        return found

    def _callable(self, task: Task) -> SubmittedJob:
        return SubmittedJob(self.sweep.path / task.job.folder, self.sweep.requeueable_arguments(task.job))

    def _environment(self) -> dict[str, str]:
        clean = without_ranks(dict(os.environ))
        threads = self.common.get("cpus_per_task")
        return with_threads(clean, threads) if threads else clean

    def _executor(self, needs: dict[str, int]) -> "submitit.Executor":
        import submitit

        special = dict(self.special)
        timeouts = special.pop("max_num_timeout")
        folder = self.sweep.path / ".submitit" / "%j"
        executor = submitit.AutoExecutor(folder, self.cluster, **{f"{self.cluster}_max_num_timeout": timeouts})
        common = {key: value for key, value in self.common.items() if value is not None}
        special = {f"{self.cluster}_{key}": value for key, value in special.items() if value is not None}
        executor.update_parameters(**(common | needs), **special)
        return executor

    def _wait(self, tasks: Sequence[Task], submitted: dict[int, "submitit.Job"], others: Sequence[Task]) -> None:
        waiting, shown = dict(submitted), sorted([*tasks, *others], key=lambda task: task.job.number)
        with Display(lambda: [_line(self.sweep.path / task.job.folder, task) for task in shown]) as display:
            while waiting:
                for i in [i for i, job in waiting.items() if job.done()]:
                    self._end(tasks[i], waiting.pop(i), display)
                for i, job in waiting.items():
                    if tasks[i].job.state == "waiting" and is_begun(self.sweep.run_folder(tasks[i].job)):
                        tasks[i].job.state = "running"
                        display.say(f"started   {tasks[i].name}  job {job.job_id}")
                display.tick()
                if waiting:
                    time.sleep(self.poll)

    def _end(self, task: Task, submitted: "submitit.Job", display: Display) -> None:
        job, folder = task.job, RunFolder(self.sweep.path / task.job.folder)
        error = None if self.sweep.finished(job) else submitted.exception()
        deadline = time.monotonic() + 30  # for the folder to reach this machine
        while error is None and not self.sweep.finished(job) and time.monotonic() < deadline:
            time.sleep(1)
        job.submitted, log = None, submitted.task(0).paths.stdout
        if log.is_file():
            self.sweep.log(job).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, self.sweep.log(job))
        if self.sweep.finished(job):
            job.state, job.value = "finished", self.sweep.value(job)
            job.seconds = folder.metrics["seconds"]
            job.attempts = 1 + folder.record.get("resumed", 0)
            value = "" if job.value is None else f"  best {job.value:.4g}"
            display.say(f"finished  {task.name}  {duration(job.seconds)}{value}")
        else:
            job.state, log = "failed", self.sweep.log(job)
            display.say(f"failed    {task.name}  job {submitted.job_id}, {submitted.state.lower()}")
            display.say("".join(f"    {line}\n" for line in tail(log).splitlines()) + f"    ({shown_path(log)})")
        self.sweep.save()


def queue_settings(cluster: str, settings: Mapping[str, Any]) -> tuple[Tree, Tree]:
    """Settings that every cluster has, and those of this one, checked against what hydra-submitit-launcher takes.

    Raises:
        ValueError: one is unknown or of the wrong type, or hydra-submitit-launcher is not installed.
    """
    try:
        from hydra_plugins.hydra_submitit_launcher import config as plugin
    except ModuleNotFoundError as error:
        raise ValueError(
            f"launcher={cluster} must have hydra-submitit-launcher, and there is none: pip install 'genexp[slurm]'"
        ) from error
    schema = plugin.SlurmQueueConf if cluster == "slurm" else plugin.LocalQueueConf
    plain = {key: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for key, v in settings.items()}
    timeouts = plain.pop("max_num_timeout")
    checked = {key: value for key, value in plain.items() if not (key == "gpus_per_node" and value == "auto")}
    try:
        OmegaConf.merge(OmegaConf.structured(schema), checked)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"hydra.launcher must hold settings of hydra-submitit-launcher: {first}") from error
    shared = set(OmegaConf.structured(plugin.BaseQueueConf))
    special = {key: value for key, value in plain.items() if key not in shared}
    return {key: value for key, value in plain.items() if key in shared}, special | {"max_num_timeout": timeouts}


def still_alive(executor: "submitit.Executor", submitted: str | None, ranks: int) -> "submitit.Job | None":
    """The job that an earlier command has handed in, if the cluster still has it to run.

    Args:
        executor: submitit's executor.
        submitted: What the cluster calls the job, or None.
        ranks: Its processes.
    """
    if submitted is None:
        return None
    job = executor.job_class(executor.folder, submitted, list(range(ranks)))
    return job if job.state.upper().split(" ")[0] in ALIVE else None


def require_submittable(trainer: DictConfig) -> int:
    """Processes of a job on each node.

    Raises:
        ValueError: their number is not stated, or Lightning would start processes beside those of the cluster.
    """
    devices, strategy = str(trainer.devices), str(trainer.get("strategy", "auto"))
    if not devices.isdigit() or int(devices) < 1:
        raise ValueError(f"trainer.devices must be a number from 1 where a cluster starts the ranks, got {devices}")
    if any(word in strategy for word in ("fork", "spawn", "notebook")):
        instead = strategy.replace("_fork", "").replace("_spawn", "").replace("_notebook", "")
        raise ValueError(
            f"trainer.strategy must be one whose ranks a cluster can start, such as {instead}, got {strategy}"
        )
    return int(devices)


def _line(folder: Path, task: Task) -> Line:
    return Line(task.name, task.job.state, task.images, read_progress(folder))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Processes started meanwhile have this environment."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
