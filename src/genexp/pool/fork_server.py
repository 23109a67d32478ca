"""The process that starts jobs: it has imported everything once, and forks; a job then costs no import of torch.

A job has a temporary folder of its own, removed when it is buried, and runs no exit handler that was registered before
it was forked. The server runs one thread, starts no CUDA context (devices are counted in a child of its own) and no
OpenMP team, so a forked job may do all of this. It reads orders from standard input, a line of JSON each, and answers
on standard output. When its input ends, because the sweep ended or was killed, it ends every job.

Orders: `{"start": key, "arguments": [...], "environment": {...}, "log": path}`, `{"signal": number, "job": key}`.
Answers: `{"ready": {"gpus": n, "cpu_seconds": s}}`, `{"started": key, "pid": p}`,
`{"ended": key, "status": code, "cpu_seconds": s}`; a status below zero is the number of the signal that ended it.
"""

import atexit
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from genexp.files.trees import Tree
from genexp.pool.environment import THREAD_VARIABLES
from genexp.pool.preloading import count_gpus, disown, preload, require_one_thread

_PR_SET_PDEATHSIG = 1

Command = Callable[[list[str]], int]
"""The main function of a program: from arguments to the exit status."""


class Server:
    """Starts, signals and buries jobs.

    Args:
        preloaded: Whether jobs are forks of this process; else each is a new interpreter.
        grace: Seconds between asking jobs to end and killing them, when the sweep has gone.
        answers: File descriptor to answer on.
    """

    def __init__(self, preloaded: bool, grace: float, answers: int) -> None:
        self.preloaded, self.grace, self.answers = preloaded, grace, answers
        self.jobs: dict[int, str] = {}
        self.temporary: dict[int, str] = {}
        self.stopping, self._pending = False, b""
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def serve(self) -> Tree | None:
        """Follow orders until there are no more; in a forked job, return its order at once."""
        while not self.stopping:
            readable, _, _ = select.select([0, self._wake], [], [])
            self._drain()
            if 0 in readable:
                text = os.read(0, 1 << 16)
                if not text:
                    break
                *lines, self._pending = (self._pending + text).split(b"\n")
                for line in lines:
                    order = json.loads(line)
                    if "signal" in order:
                        self._signal(order["signal"], order["job"])
                    elif self._start(order):
                        return order
            self._bury()
        self._end_all()
        return None

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass

    def _answer(self, **fields: object) -> None:
        try:
            os.write(self.answers, json.dumps(fields).encode() + b"\n")
        except BrokenPipeError:
            self.stopping = True

    def _start(self, order: Tree) -> bool:
        temporary = tempfile.mkdtemp(prefix="genexp-")
        pid = os.fork()
        if pid == 0:
            order["environment"] |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)
            return True
        self.jobs[pid], self.temporary[pid] = order["start"], temporary
        self._answer(started=order["start"], pid=pid)
        return False

    def _signal(self, number: int, job: str) -> None:
        for pid, key in self.jobs.items():
            if key == job:
                _signal_group(pid, number)

    def _bury(self) -> None:
        for pid in list(self.jobs):
            if hasattr(os, "waitid"):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    continue
                _kill_group(pid)  # before the job is buried: its number may be another's from then on
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended == 0:
                continue
            if not hasattr(os, "waitid"):  # macOS before Python 3.13 cannot look without burying
                _kill_group(pid)
            shutil.rmtree(self.temporary.pop(pid), ignore_errors=True)
            self._answer(
                ended=self.jobs.pop(pid),
                status=os.waitstatus_to_exitcode(status),
                cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
            )

    def _end_all(self) -> None:
        for pid in self.jobs:
            _signal_group(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        while self.jobs and time.monotonic() < deadline:
            time.sleep(0.05)
            self._bury()
        for pid in self.jobs:
            _signal_group(pid, signal.SIGKILL)
        while self.jobs:
            time.sleep(0.01)
            self._bury()


def _kill_group(pid: int) -> None:
    """End what a job has left behind, if it has."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        os.kill(pid, number)  # a job that has not made its group yet; it is not buried, so the number is still its own


def become(order: Tree, parent: int, preloaded: bool, lock: int, command: Command) -> NoReturn:
    """Turn a fork into a job: its own session, log, environment and command line; then run it."""
    os.setsid()
    _die_with(parent)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name in THREAD_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(order["environment"])
    tempfile.tempdir = None  # asked anew: every job has a temporary folder of its own
    if not preloaded:
        os.set_inheritable(lock, True)
        os.execv(sys.executable, [sys.executable, "-m", "genexp", *order["arguments"]])
    run_as_program(order["arguments"], command)


def run_as_program(arguments: list[str], command: Command) -> NoReturn:
    """What `python -m genexp <arguments>` does. Lightning repeats that command for the further ranks of a job.

    It ends as forked processes do: everything that the job registered for the exit runs, then the interpreter stops.
    """
    disown()
    import threadpoolctl
    import torch

    threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads, user_api="blas")
    sys.argv = ["genexp", *arguments]
    status = 1
    try:
        status = _status(lambda: command(arguments))
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _status(call: Callable[[], int]) -> int:
    """The exit status that the interpreter would end with."""
    try:
        return call()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return 1


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when the server is killed, so that no job outlives its sweep."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def serve(arguments: list[str], command: Command, modules: Sequence[str] = ()) -> NoReturn:
    """Serve one sweep.

    Args:
        arguments: `preloaded` (0 or 1), `grace` in seconds, the descriptor of the sweep's lock.
        command: What a job calls with its own arguments: the main function of this program.
        modules: What jobs will need beside what every job does.
    """
    preloaded, grace, lock = arguments[0] == "1", float(arguments[1]), int(arguments[2])
    os.set_inheritable(lock, False)  # jobs hold it, so that a sweep is taken while one lives; other programs do not
    answers = os.dup(1)
    os.dup2(2, 1)
    server, own = Server(preloaded, grace, answers), os.getpid()
    try:
        if preloaded:
            preload(modules)
            require_one_thread()
        gpus = count_gpus()
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)  # behind the reason stood else what libraries have to say at the end of a process
    server._answer(ready={"gpus": gpus, "cpu_seconds": round(time.process_time(), 2)})
    if (order := server.serve()) is None:
        os._exit(0)  # nothing is left to tidy up, and what is frozen would be reported as leaked
    os.close(answers)
    become(order, own, preloaded, lock, command)
