"""A sweep folder: what every job is, where it runs, and what came of it. Imports no torch."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from genexp.config.quoting import quoted
from genexp.files import locks
from genexp.files.json_records import is_there, read_json
from genexp.files.partial import remove_abandoned
from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.pool.identity import identity, new_for
from genexp.pool.shape import SweepRecord, require_own_jobs
from genexp.runs.run_folder import RECORD, DamagedRun, RunFolder
from genexp.runs.trust import TRUST, is_ours, signature

SWEEP, LOCK = "sweep.json", ".lock"
_OF_RESUMING = ("hydra.sweep.dir=", "hydra.launcher.resume=", "hydra.launcher.trust=")


@dataclass
class Job:
    """One job of a sweep.

    Args:
        number: Its number in the sweep, which names its folder.
        overrides: What it is run with.
        folder: Its run folder, relative to the sweep's.
        state: `waiting`, `running`, `finished`, `failed`, `timeout`, `interrupted`, `pruned`.
        value: Its best monitored value.
        seconds: Its wall time, of all attempts.
        cpu_seconds: Its CPU time, of all attempts.
        attempts: How often it was started.
        submitted: What the cluster calls it while it is there to run.
    """

    number: int
    overrides: list[str]
    folder: str
    state: str = "waiting"
    value: float | int | None = None
    seconds: float | int = 0.0
    cpu_seconds: float | int = 0.0
    attempts: int = 0
    submitted: str | None = None


class SweepFolder:
    """The folder of one sweep, held by one process at a time.

    Args:
        path: The folder.
        command: The command line as Hydra was given it, kept for `sweep.resume`.
        further: What every job is started with beside its overrides: Hydra's own flags and keys.
        resume: True continues the sweep that is there, False begins one where none is, and None does what fits.
        trust: Whether jobs continue runs that another user has begun.

    Raises:
        FileExistsError: the folder holds a sweep and `resume` is False.
        FileNotFoundError: the folder holds no sweep and `resume` is True.
        ValueError: the sweep is still running, or its record is damaged.
    """

    def __init__(
        self,
        path: Path,
        command: Sequence[str] = (),
        further: Sequence[str] = (),
        resume: bool | None = False,
        trust: bool = False,
    ) -> None:
        self.path, self.further, self.resume = path, list(further), resume
        self.trusted = [TRUST] if trust else []
        self.command = [each for each in command if not each.startswith(_OF_RESUMING)]
        self._require_fitting()
        path.mkdir(parents=True, exist_ok=True)
        self.lock = self._locked()
        try:
            self._require_fitting()
            remove_abandoned(path / SWEEP, age=0)
            record = read_record(path) if holds_sweep(path) else self._new_record()
            self.id, self.started = record["id"], record["started"]
            self.signature = signature("sweep", self.id, self.command)
            self.jobs = [Job(**each) for each in record["jobs"]]
            if not is_ours(record.get("signature"), "sweep", self.id, record.get("command")):
                for job in self.jobs:
                    job.submitted = None  # its outcome is a pickle, and that of another user could run anything
            self.earlier = [job.number for job in self.jobs]
            self.save()
        except BaseException:
            self.release()
            raise

    def _new_record(self) -> Tree:
        return {"id": self.path.name, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "jobs": []}

    def _require_fitting(self) -> None:
        there = holds_sweep(self.path)
        if there and self.resume is False:
            raise FileExistsError(
                f"hydra.sweep.dir must be a folder without a sweep, got {self.path}; "
                f"continue that sweep with sweep.resume={self.path}"
            )
        if self.resume and not there:
            raise _no_sweep(self.path)

    def _locked(self, patience: float = 30.0) -> int:
        """Hold the sweep; the jobs of one that was killed need a moment to end."""
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + patience
        try:
            while not locks.locked(descriptor):
                self._require_fitting()
                if time.monotonic() > deadline:
                    raise ValueError(f"a sweep must have ended before it goes on, got {self.path}: a process runs it")
                time.sleep(0.1)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def release(self) -> None:
        """Let another process continue the sweep."""
        os.close(self.lock)

    def save(self) -> None:
        """Write the record in one atomic step."""
        record = {
            "id": self.id,
            "started": self.started,
            "command": self.command,
            "signature": self.signature,
            "jobs": [asdict(job) for job in self.jobs],
        }
        write_atomically(self.path / SWEEP, json.dumps(record, indent=1) + "\n")

    def job_for(self, overrides: Sequence[str]) -> Job:
        """The job with these overrides: one that an earlier command has begun, each once, or else a new one.

        What says where a sweep runs is not of its jobs, so a sweep may be continued elsewhere. Where no job has the
        very same overrides it is one that computes the same, with another logger say; unfinished, it gets these.
        """
        overrides = [each for each in overrides if not each.startswith("launcher=")]
        free = [job for job in self.jobs if job.number in self.earlier]
        alike = [job for job in free if identity(job.overrides) == identity(overrides)]
        for job in sorted(alike, key=lambda each: sorted(each.overrides) != sorted(overrides))[:1]:
            self.earlier.remove(job.number)
            if not self.finished(job):
                job.overrides = list(overrides)
            return job
        self.jobs.append(Job(len(self.jobs), list(overrides), f"{len(self.jobs):03d}"))
        return self.jobs[-1]

    def run_folder(self, job: Job) -> RunFolder:
        """Where the job's run is, or will be."""
        return RunFolder(self.path / job.folder)

    def log(self, job: Job) -> Path:
        """The job's standard output and standard error."""
        return self.path / job.folder / "job.log"

    def finished(self, job: Job) -> bool:
        """Whether the job's own folder says that it is done, whatever the record of the sweep says."""
        return is_finished(self.run_folder(job))

    def value(self, job: Job) -> float | None:
        """The best monitored value of a finished job."""
        best = self.run_folder(job).metrics.get("best")
        return best["value"] if best else None

    def arguments(self, job: Job) -> list[str]:
        """The command that starts the job, or continues it from its checkpoint; without one it starts elsewhere."""
        folder = self.run_folder(job)
        if folder.last.is_file():
            return [
                "train",
                *self.further,
                *new_for(folder, job.overrides),
                *self.trusted,
                f"resume={quoted(folder.path)}",
            ]
        attempt = 1
        while is_there(self.path / job.folder / RECORD):
            attempt += 1
            job.folder = f"{job.number:03d}_attempt{attempt}"
        return ["train", *self.further, *job.overrides, f"run_dir={quoted(self.path / job.folder)}"]

    def requeueable_arguments(self, job: Job) -> list[str]:
        """The command that begins the job in its folder, and when it is given again goes on there."""
        folder = self.run_folder(job).path
        return ["train", *self.further, *job.overrides, f"run_dir={quoted(folder)}", "resume=auto"]


def is_begun(folder: RunFolder) -> bool:
    """Whether a run is at work in its folder."""
    try:
        return is_there(folder.path / RECORD) and folder.record.get("state") == "running"
    except DamagedRun:
        return False


def is_finished(folder: RunFolder) -> bool:
    """Whether a run's own folder says that it is done."""
    try:
        return folder.record.get("state") == "finished" and "images_seen" in folder.metrics
    except DamagedRun:
        return False


def holds_sweep(path: Path) -> bool:
    """Whether a folder holds the record of a sweep.

    An empty record is what earlier versions left when they were killed at once: with no job beside it, it says nothing.
    """
    record = path / SWEEP
    return is_there(record) and (record.lstat().st_size > 0 or any(path.glob("[0-9]*/")))


def read_record(path: Path) -> Tree:
    """What `sweep.json` says.

    Raises:
        FileNotFoundError: no sweep is there.
        DamagedFile: the record cannot be read, or is none that a sweep writes.
    """
    if not holds_sweep(path):
        raise _no_sweep(path)
    record = read_json(path / SWEEP, SweepRecord, f" of the sweep {path}")
    require_own_jobs(record, f"{SWEEP} of the sweep {path}")
    return record


def recorded_jobs(path: Path) -> list[Job]:
    """The jobs of a sweep, read without holding it, so it may be running; none where no sweep is.

    Raises:
        DamagedFile: the record cannot be read.
    """
    return [Job(**each) for each in read_record(path)["jobs"]] if holds_sweep(path) else []


def _no_sweep(path: Path) -> FileNotFoundError:
    empty = f"an empty {SWEEP} there: nothing had begun, so begin it with hydra.sweep.dir={path}"
    found = empty if is_there(path / SWEEP) else f"no {SWEEP} there"
    return FileNotFoundError(f"sweep.resume must name the folder of a sweep, got {path} ({found})")
