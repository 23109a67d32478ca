"""`genexp` for tests that type it: in a process of its own, forked from one that has imported everything.

What a fresh interpreter does is left to the tests of that: `FRESH`.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

FRESH = (sys.executable, "-m", "genexp")
HERE = Path(__file__).parent / "forks"


def genexp() -> tuple[str, ...]:
    """The words to type in the place of `genexp`; the process that forks starts when they are first asked for."""
    if not hasattr(os, "fork"):
        return FRESH
    import fcntl

    place = Path(os.environ["GENEXP_TESTS"], "forks")
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _start(place)
    return sys.executable, "-IS", str(HERE / "typed.py"), str(place)


def folder_of_genexp() -> str:
    """A folder for the front of PATH, in which `genexp` is one that forks."""
    folder = Path(os.environ["GENEXP_TESTS"], f"bin-{os.getpid()}")
    if not folder.is_dir():
        folder.mkdir()
        (folder / "genexp").write_text(f'#!/bin/sh\nexec {shlex.join(genexp())} "$@"\n')
        (folder / "genexp").chmod(0o755)
    return str(folder)


def python_of_jobs() -> str:
    """A program in the place of `python` by which submitit's jobs are forks too; all else it leaves to Python."""
    client = shlex.join(genexp())
    path = Path(os.environ["GENEXP_TESTS"], f"python-{os.getpid()}")
    fork = f'[ "$3" = submitit.core._submit ] && shift && exec {client} "$@"'  # -u -m submitit.core._submit <folder>
    path.write_text(f'#!/bin/sh\n{fork}\nexec {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)
    return str(path)


def temporary() -> Path:
    """The temporary folder of the process that forks; its forks have those of who asks for them."""
    return Path(os.environ["GENEXP_TESTS"], "temporary")


def _start(place: Path) -> None:
    tests = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    temporary().mkdir()
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary()))
    with open(place.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), str(place), str(tests)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    while not place.exists():
        assert process.poll() is None, place.with_suffix(".log").read_text()
        time.sleep(0.01)
