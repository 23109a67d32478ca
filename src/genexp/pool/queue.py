"""A queue of jobs over slots: starts, watches, times and ends them. Imports no torch."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from genexp.config.messages import SweepInterrupted
from genexp.files.trees import Tree
from genexp.pool.connection import Connection
from genexp.pool.display import Display, Line
from genexp.pool.job_progress import read_progress, tail
from genexp.pool.record import Job, SweepFolder
from genexp.pool.slots import Need, Slots
from genexp.terminal import duration, shown_path


@dataclass
class Task:
    """A job and what the pool has to know of it.

    Args:
        job: The job, as recorded.
        name: Its number and what sets it apart.
        need: What it runs on.
        images: Length of its training, for the time left.
    """

    job: Job
    name: str
    need: Need
    images: float | None = None
    places: list[str] = field(default_factory=list)
    begun: float = 0.0
    kill_at: float | None = None
    verdict: str | None = None
    log: BinaryIO | None = None


class TaskSource(Protocol):
    """Makes tasks while others run, watches them, and learns how they ended.

    Attributes:
        need: What each task runs on.
    """

    need: Need

    def next_task(self) -> Task | None:
        """A task for a place that has become free, or None when there are no more."""

    def observe(self, task: Task) -> bool:
        """Look at a running task; True ends it, and its state is then `pruned`."""

    def ended(self, task: Task) -> str:
        """Take note of a task whose state is settled; returns what is said about it."""


class Pool:
    """Runs tasks, each as soon as there is room for it, in their order.

    Args:
        sweep: The sweep's folder and record.
        connection: The process that starts jobs.
        slots: Where jobs run.
        timeout: Seconds a job may take, or None.
        grace: Seconds between asking a job to end and killing it.
    """

    def __init__(
        self, sweep: SweepFolder, connection: Connection, slots: Slots, timeout: float | None, grace: float
    ) -> None:
        self.sweep, self.connection, self.slots = sweep, connection, slots
        self.timeout, self.grace = timeout, grace
        self.received: list[int] = []
        self._forwarded = 0
        self._source: TaskSource | None = None
        self._shown: list[Task] = []

    def run(self, tasks: Sequence[Task], others: Sequence[Task] = (), source: TaskSource | None = None) -> None:
        """Run all tasks to their end; their outcome is in their records.

        Args:
            tasks: What to run.
            others: What is shown with it, already finished.
            source: Where further tasks come from when these have begun.

        Raises:
            SweepInterrupted: SIGINT or SIGTERM came; running jobs have been ended, waiting ones not started.
        """
        queue, running = list(tasks), {}
        self._source, self._shown = source, [*tasks, *others]
        with self._signals(), Display(self._lines) as display:
            while True:
                if not self.received:
                    self._start(queue, running, display)
                if not running:
                    break
                for answer in self.connection.answers(timeout=0.25):
                    if "ended" in answer:
                        self._end(running.pop(answer["ended"]), answer, display)
                self._forward(running, display)
                self._observe(running)
                self._enforce(running)
                display.tick()
        if self.received:
            raise SweepInterrupted(128 + self.received[0])

    def _start(self, queue: list[Task], running: dict[str, Task], display: Display) -> None:
        while queue or self._source is not None:
            places = self.slots.take(queue[0].need if queue else self._source.need)
            if places is None:
                return
            task = queue.pop(0) if queue else self._made()
            if task is None:
                self.slots.give_back(self._source.need, places)
                return
            job = task.job
            arguments = self.sweep.arguments(job)
            log = self.sweep.log(job)
            log.parent.mkdir(parents=True, exist_ok=True)
            task.log = open(log, "a+b")  # noqa: SIM115
            task.places, task.begun = places, time.monotonic()
            job.state, job.attempts = "running", job.attempts + 1
            self.sweep.save()
            environment = self.slots.environment(task.need, places)
            running[str(job.number)] = task
            self.connection.order(
                start=str(job.number), arguments=arguments, environment=environment, log=str(log.resolve())
            )
            again = "  from its checkpoint" if arguments[-1].startswith("resume=") else ""
            where = f"  gpu {','.join(places)}" if task.need.kind == "gpu" else ""
            display.say(f"started   {task.name}{where}{again}")

    def _made(self) -> Task | None:
        task = self._source.next_task()
        if task is not None:
            self._shown.append(task)
        return task

    def _end(self, task: Task, answer: Tree, display: Display) -> None:
        job, seconds = task.job, time.monotonic() - task.begun
        self.slots.give_back(task.need, task.places)
        keep_log(task.log, self.sweep.log(job))
        job.seconds = round(job.seconds + seconds, 2)
        job.cpu_seconds = round(job.cpu_seconds + answer["cpu_seconds"], 2)
        if answer["status"] == 0 and self.sweep.finished(job):
            job.state, job.value = "finished", self.sweep.value(job)
        else:
            job.state = task.verdict or "failed"
        note = best(job) if self._source is None else self._source.ended(task)
        if job.state in ("finished", "pruned"):
            display.say(f"{job.state:<9} {task.name}  {duration(seconds)}  {note}".rstrip())
        else:
            display.say(f"{job.state:<9} {task.name}  {duration(seconds)}, {note or ending(answer['status'])}")
            if job.state != "interrupted":
                log = self.sweep.log(job)
                display.say("".join(f"    {line}\n" for line in tail(log).splitlines()) + f"    ({shown_path(log)})")
        self.sweep.save()

    def _forward(self, running: dict[str, Task], display: Display) -> None:
        """Pass new signals on; a second one does not wait any longer."""
        for number in self.received[self._forwarded :]:
            self._forwarded += 1
            display.say(f"{signal.Signals(number).name}: ending {len(running)} running jobs")
            for task in running.values():
                if self._forwarded > 1:
                    task.kill_at = time.monotonic()
                else:
                    self._ask(task, number, "interrupted")

    def _ask(self, task: Task, number: int, verdict: str) -> None:
        task.verdict = task.verdict or verdict
        self.connection.order(signal=int(number), job=str(task.job.number))
        task.kill_at = task.kill_at or time.monotonic() + self.grace

    def _enforce(self, running: dict[str, Task]) -> None:
        now = time.monotonic()
        for task in running.values():
            if task.kill_at is not None and now >= task.kill_at:
                self.connection.order(signal=int(signal.SIGKILL), job=str(task.job.number))
                task.kill_at = now + 1
            elif self.timeout is not None and task.verdict is None and now - task.begun > self.timeout:
                self._ask(task, signal.SIGTERM, "timeout")

    def _observe(self, running: dict[str, Task]) -> None:
        for task in running.values():
            if self._source is not None and task.verdict is None and self._source.observe(task):
                self._ask(task, signal.SIGTERM, "pruned")

    def _lines(self) -> list[Line]:
        return [
            Line(task.name, task.job.state, task.images, read_progress(self.sweep.path / task.job.folder))
            for task in sorted(self._shown, key=lambda task: task.job.number)
        ]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Collect SIGINT and SIGTERM instead of dying from them."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, lambda received, _: self.received.append(received)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def keep_log(file: BinaryIO, path: Path) -> None:
    """Close a job's log; a run that could not begin has removed its folder, and the log gets it back."""
    with file:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            file.seek(0)
            path.write_bytes(file.read())


def best(job: Job) -> str:
    """The best monitored value of a finished job in words; nothing for another."""
    return f"best {job.value:.4g}" if job.state == "finished" and job.value is not None else ""


def ending(status: int) -> str:
    """An exit status in words."""
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
