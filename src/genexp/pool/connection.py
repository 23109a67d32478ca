"""The sweep's end of the pipes to the process that starts jobs. Imports no torch."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from genexp.config.messages import JobFailed
from genexp.files.trees import Tree
from genexp.pool.environment import with_threads
from genexp.pool.job_progress import tail
from genexp.ranks import without_ranks


class Connection:
    """Starts the server of a sweep and talks with it.

    Args:
        log: File for what the server itself prints.
        preload: Whether jobs are forks of a process that has imported everything.
        grace: Seconds that jobs get to end by themselves.
        lock: Descriptor of the sweep's lock, which the server and the jobs hold too.
        environment: What the server starts with; variables that name a rank are left out.
    """

    program = ("-m", "genexp", "_serve")

    def __init__(self, log: Path, preload: bool, grace: float, lock: int, environment: Mapping[str, str]) -> None:
        self.log = log
        self._pending = b""
        command = [sys.executable, *self.program, f"{preload:d}", str(grace), str(lock)]
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=with_threads(without_ranks(environment), 1),
                pass_fds=(lock,),
                start_new_session=True,
                bufsize=0,
            )

    def ready(self) -> Tree:
        """Wait until the server has imported everything.

        Raises:
            JobFailed: it ended instead.
        """
        while True:
            for answer in self.answers(timeout=1.0):
                if "ready" in answer:
                    return answer["ready"]

    def order(self, **fields: object) -> None:
        """Send one order."""
        self.process.stdin.write(json.dumps(fields).encode() + b"\n")

    def answers(self, timeout: float) -> list[Tree]:
        """What has come within so many seconds.

        Raises:
            JobFailed: the server has ended.
        """
        readable, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not readable:
            return []
        text = os.read(self.process.stdout.fileno(), 1 << 16)
        if not text:
            last = tail(self.log).strip().rpartition("\n")[2]
            raise JobFailed(f"the process that starts jobs has ended, see {self.log}{last and ': '}{last}")
        *lines, self._pending = (self._pending + text).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End the server, and with it every job that still runs."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
