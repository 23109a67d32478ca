"""The process that starts jobs, with jobs that are a few lines: forks, signals, leftovers, and its own death."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genexp.config.messages import JobFailed
from genexp.pool import preloading
from genexp.pool.connection import Connection

PROGRAM = """
import json, os, signal, subprocess, sys, time
from genexp.pool import fork_server

def run(arguments, command):
    what, path = arguments[1:]
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if what == "parent":
        subprocess.Popen(["sleep", "60"])
    with open(path + ".partial", "w") as file:
        json.dump({"environment": dict(os.environ), "pid": os.getpid(), "group": os.getpgrp(), "argv": sys.argv}, file)
    os.rename(path + ".partial", path)
    print("out of", what, flush=True)
    print("err of", what, file=sys.stderr, flush=True)
    if what in ("sleep", "deaf"):
        time.sleep(60)
    os._exit(3 if what == "fail" else 0)

fork_server.preload, fork_server.count_gpus, fork_server.run_as_program = lambda modules: None, lambda: 0, run
fork_server.serve(sys.argv[1:], None)
"""


@pytest.fixture
def connect(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(Connection, "program", (str(program),))
    opened = []

    def connect(grace=5.0):
        descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        connection = Connection(tmp_path / "server.log", True, grace, descriptor, os.environ)
        os.close(descriptor)
        opened.append(connection)
        assert connection.ready()["gpus"] == 0
        return connection

    yield connect
    for connection in opened:
        if connection.process.poll() is None:
            connection.close()


def start(connection, tmp_path, what, **environment):
    """Start a job and return what it says of itself, once it runs."""
    path = tmp_path / f"{what}.json"
    environment = {"OMP_NUM_THREADS": "2", **environment}
    log = str(tmp_path / f"{what}.log")
    connection.order(start=what, arguments=["train", what, str(path)], environment=environment, log=log)
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return json.loads(path.read_text())


def endings(connection, count):
    found = {}
    while len(found) < count:
        found |= {each["ended"]: each["status"] for each in connection.answers(20) if "ended" in each}
    return found


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_death(*pids):
    deadline = time.monotonic() + 5
    while any(lives(pid) for pid in pids):
        assert time.monotonic() < deadline, "a job has outlived its sweep"
        time.sleep(0.01)


def test_jobs_have_their_own_group_log_and_environment_and_report_their_status(connect, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    connection = connect()
    said = start(connection, tmp_path, "fail", CUDA_VISIBLE_DEVICES="5")
    assert said["environment"]["CUDA_VISIBLE_DEVICES"] == "5"
    assert said["environment"]["OMP_NUM_THREADS"] == "2"
    assert "LOCAL_RANK" not in said["environment"]
    assert said["group"] == said["pid"]
    start(connection, tmp_path, "parent")
    assert endings(connection, 2) == {"fail": 3, "parent": 0}
    assert (tmp_path / "fail.log").read_text().splitlines() == ["out of fail", "err of fail"]


def test_a_signal_reaches_the_job_alone(connect, tmp_path):
    connection = connect()
    start(connection, tmp_path, "sleep")
    start(connection, tmp_path, "deaf")
    connection.order(signal=int(signal.SIGTERM), job="deaf")
    connection.order(signal=int(signal.SIGTERM), job="sleep")
    assert endings(connection, 1) == {"sleep": -signal.SIGTERM}
    connection.order(signal=int(signal.SIGKILL), job="deaf")
    assert endings(connection, 1) == {"deaf": -signal.SIGKILL}


def test_what_a_job_leaves_behind_ends_with_it(connect, tmp_path):
    connection = connect()
    group = start(connection, tmp_path, "parent")["group"]
    assert endings(connection, 1) == {"parent": 0}
    deadline = time.monotonic() + 10
    while members := [stat for stat in Path("/proc").glob("[0-9]*") if lives(stat.name) and _group(stat) == group]:
        assert time.monotonic() < deadline, members  # killed, and gone once the machine gets to it
        time.sleep(0.05)


WATCHED = """
import os
killpg = os.killpg

def watched(pid, number):
    print("ours" if os.path.exists(f"/proc/{pid}") else "anybody's", file=__import__("sys").stderr, flush=True)
    killpg(pid, number)

os.killpg = watched
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the number in /proc")
def test_a_group_is_killed_while_its_number_cannot_be_anothers(connect, tmp_path):
    program = Path(*Connection.program)
    program.write_text(WATCHED + PROGRAM)
    connection = connect()
    for what in ("parent", "fail"):
        start(connection, tmp_path, what)
        endings(connection, 1)
    assert (tmp_path / "server.log").read_text().split() == ["ours", "ours"]


def _group(process):
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[2])
    except OSError:
        return None


def test_jobs_end_when_the_sweep_goes_and_those_that_will_not_are_killed(connect, tmp_path):
    connection = connect(grace=0.3)
    pids = [start(connection, tmp_path, what)["pid"] for what in ("sleep", "deaf")]
    begun = time.monotonic()
    connection.close()
    assert time.monotonic() - begun >= 0.3
    wait_for_death(*pids)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel for a signal at the parent's death")
def test_jobs_die_with_a_server_that_is_killed_and_the_sweep_learns_of_it(connect, tmp_path):
    connection = connect()
    pid = start(connection, tmp_path, "deaf")["pid"]
    connection.process.kill()
    wait_for_death(pid)
    with pytest.raises(JobFailed, match=r"the process that starts jobs has ended, see .*server\.log"):
        endings(connection, 2)


def test_gpus_that_cannot_be_counted_say_why(tmp_path, monkeypatch):
    counting = "import sys; sys.modules['torch'] = None; from genexp.pool.preloading import count_gpus; count_gpus()"
    (tmp_path / "counting.py").write_text(counting)
    monkeypatch.setattr(Connection, "program", (str(tmp_path / "counting.py"),))
    connection = Connection(tmp_path / "server.log", True, 1.0, 2, os.environ)
    reason = "ModuleNotFoundError: import of torch halted"
    with pytest.raises(RuntimeError, match=f"must be found out before a sweep starts, got {reason}"):
        connection.ready()
    connection.close()
    assert (tmp_path / "server.log").read_text().count("Traceback") == 2


def test_a_count_of_gpus_that_is_killed_names_the_signal(monkeypatch):
    monkeypatch.setattr(preloading, "_count", lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(RuntimeError, match="got an exit status of -9"):
        preloading.count_gpus()


def test_a_server_that_cannot_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("raise SystemExit('no torch here')")
    monkeypatch.setattr(Connection, "program", (str(tmp_path / "broken.py"),))
    connection = Connection(tmp_path / "server.log", True, 1.0, 2, os.environ)
    with pytest.raises(RuntimeError, match="no torch here"):
        connection.ready()
    connection.close()


def test_libraries_that_start_threads_are_left_to_the_jobs(tmp_path):
    (tmp_path / "pyarrow.py").write_text(
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    (tmp_path / "looks_for_it.py").write_text("try:\n    import pyarrow\nexcept ImportError:\n    pyarrow = None")
    code = (
        "import os, sys; from genexp.pool import preloading; preloading.OWN = preloading.PRELOADED = ();"
        "preloading._compose_once = lambda: None; preloading.preload(['looks_for_it']);"
        "print(len(os.listdir('/proc/self/task'))); import pyarrow; print(len(os.listdir('/proc/self/task')))"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert told == ["1", "2"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the threads of a process")
def test_an_import_that_starts_a_thread_is_said_in_one_line(tmp_path, monkeypatch):
    thread = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    serving = "fork_server.preload, fork_server.count_gpus = start, lambda: 0; fork_server.serve(sys.argv[1:], None)"
    program = f"import sys, threading\nfrom genexp.pool import fork_server\ndef start(modules): {thread}\n{serving}"
    (tmp_path / "threaded.py").write_text(program)
    monkeypatch.setattr(Connection, "program", (str(tmp_path / "threaded.py"),))
    connection = Connection(tmp_path / "server.log", True, 1.0, 2, os.environ)
    with pytest.raises(JobFailed, match=r"server\.log: hydra\.launcher\.preload must be false .*; started: \w+$"):
        connection.ready()
    connection.close()
