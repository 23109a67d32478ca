"""`genexp` for tests that type it: in a process of its own, forked from one that has imported everything.

What a fresh interpreter does is left to the tests of that: `FRESH`.
"""

import fcntl
import os
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
    place = Path(os.environ["GENEXP_TESTS"], "forks")
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _start(place)
    return sys.executable, "-IS", str(HERE / "typed.py"), str(place)


def _start(place: Path) -> None:
    tests = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    with open(place.with_suffix(".log"), "ab") as log:
        subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), str(place), str(tests)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    while not place.exists():
        time.sleep(0.01)
