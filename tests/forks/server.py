"""The process that forks: it has imported everything once, as the one of a sweep has, and runs `genexp` in its forks.

A fork has the working folder, environment, command line and open files of the client that asked for it, is in a
session of its own, and is killed when its client is gone. Nothing that makes something of its process at import is
imported before (`genexp.pool.preloading` says what that is), and no exit handler of this process runs in a fork.

    python server.py <socket> <number of the process whose tests these are>
"""

import contextlib
import fcntl
import marshal
import os
import runpy
import select
import signal
import socket
import sys
import tempfile

from genexp import __main__ as program
from genexp.pool.connection import Connection
from genexp.pool.fork_server import run_as_program
from genexp.pool.preloading import preload

HERE = os.path.dirname(os.path.abspath(__file__))
COMMANDS = [module for module, _ in program.COMMANDS.values()]
MOST_FILES = 64


class Forks:
    """Answers clients until the tests are over."""

    def __init__(self, place, tests):
        self.place, self.tests = place, tests
        self.clients, self.asked = {}, {}  # by the number of the fork
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(place)
        self.listening.listen(64)
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self):
        """Fork for every client; returns in a fork, with what it is asked for."""
        while self.tests_run():
            ready, _, _ = select.select([self.listening, self._wake, *self.clients.values()], [], [], 1.0)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 512)
            if self.listening in ready and (order := self.fork()):
                return order
            for pid, client in list(self.clients.items()):
                if client in ready:
                    self.forward(pid, client)
            self.bury()
        for pid in self.clients:
            end(pid)
        os._exit(0)

    def tests_run(self):
        try:
            os.kill(self.tests, 0)
        except ProcessLookupError:
            return False
        return os.path.exists(self.place)

    def fork(self):
        client, _ = self.listening.accept()
        size, files, _, _ = socket.recv_fds(client, 4, MOST_FILES)
        with client.makefile("rb") as read:
            order = marshal.loads(read.read(int.from_bytes(size, "big")))
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for other in (self.listening, client, *self.clients.values()):
                other.close()
            os.close(self._wake)
            return *order, files
        for file in files:
            os.close(file)
        self.clients[pid], self.asked[pid] = client, " ".join(order[2])
        return None

    def forward(self, pid, client):
        """A signal that the client was sent, or its end."""
        numbers = client.recv(16)
        for number in numbers:
            os.kill(pid, number)
        if not numbers:
            end(pid)

    def bury(self):
        for pid in list(self.clients):
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                print(f"{usage.ru_utime + usage.ru_stime:7.2f} CPU seconds  {self.asked.pop(pid)}", flush=True)
                with self.clients.pop(pid) as client, contextlib.suppress(OSError):
                    client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))


def end(pid):
    for call in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            call(pid, signal.SIGKILL)


def take(given, wanted):
    """Put the descriptors `given` in the places `wanted`, and close all others."""
    above = max(*wanted, *given) + 1
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, above) for each in given]
    os.closerange(0, above)
    for each, place in zip(moved, wanted):
        os.dup2(each, place)
        os.close(each)


def become(folder, environment, arguments, wanted, given):
    """What `python -m genexp <arguments>` does there, or `python <arguments>` where these begin with `-m`."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.stdout.flush()
    take(given, wanted)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = [folder, *(each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each)]
    tempfile.tempdir = None
    sys.executable = environment.get("PYTHON_OF_JOBS", sys.executable)
    if arguments[:1] == ["-m"]:
        run_as_program(arguments[2:], lambda _: run_module(arguments[1]))
    sys.modules["__main__"] = program
    run_as_program(arguments, program.main)


def run_module(name):
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


def main(place, tests):
    forks = Forks(place, int(tests))  # clients may ask from now on, and wait
    preload(COMMANDS)
    Connection.program = ("-IS", os.path.join(HERE, "typed.py"), place, "_serve")
    become(*forks.serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
