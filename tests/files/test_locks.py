"""A lock lives exactly as long as the process that took it, whatever that process has started, and however it ends."""

import os
import signal
import subprocess
import sys

import pytest

from genexp.files import locks

HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from genexp.files import locks
assert locks.take(Path(sys.argv[1]))
if sys.argv[2] == "forks":
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
else:
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid
print(child, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that takes the lock and has a child, which outlives it."""
    started = []

    def start(how):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), how], stdout=subprocess.PIPE, text=True
        )
        child = int(process.stdout.readline())
        started.append((process, child))
        return process, child

    yield start
    for process, child in started:
        process.kill()
        process.wait()
        process.stdout.close()
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("how", ["forks", "starts a program"])
def test_a_killed_process_leaves_no_lock_though_its_children_live(how, holder, tmp_path):
    process, child = holder(how)
    lock = tmp_path / "lock"
    assert locks.is_taken(lock)
    assert not locks.take(lock, patience=0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.kill(child, 0)  # it is still there
    assert not locks.is_taken(lock)
    assert locks.take(lock)
    locks.give_back(lock)


def test_a_lock_is_taken_once_and_given_back(tmp_path):
    lock = tmp_path / "lock"
    assert not locks.is_taken(lock)
    locks.give_back(lock)
    for _ in range(2):
        assert locks.take(lock)
        assert locks.is_taken(lock)
        assert not locks.take(lock)
        locks.give_back(lock)
        assert not locks.is_taken(lock)


def test_looking_at_a_lock_does_not_stop_anybody_from_taking_it(tmp_path):
    lock = tmp_path / "lock"
    assert locks.take(lock)
    locks.give_back(lock)
    look = os.open(lock, os.O_RDONLY)
    assert locks.locked(look, shared=True)
    assert not locks.is_taken(lock)
    os.close(look)
    assert locks.take(lock)
    locks.give_back(lock)


def test_where_files_cannot_be_locked_nobody_is_kept_out(tmp_path, monkeypatch):
    import errno
    import fcntl

    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert locks.take(tmp_path / "lock")
    locks.give_back(tmp_path / "lock")
    assert not locks.is_taken(tmp_path / "lock")
    with locks.waited_for(tmp_path / "other"):
        pass
