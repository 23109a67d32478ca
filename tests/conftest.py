"""Every test runs offline, on one thread, with outputs and caches in a temporary folder, in one of a few processes."""

import atexit
import ctypes
import functools
import gc
import importlib.util
import os
import random
import re
import shutil
import sys
import tempfile

if "PYTEST_XDIST_WORKER" not in os.environ:  # one folder for all processes: what one has made the others read
    _FOLDER = tempfile.mkdtemp(prefix="genexp-tests-")
    atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
    os.environ["GENEXP_TESTS"] = _FOLDER
    os.environ["GENEXP_CONFIG"] = f"{_FOLDER}/config"  # the key that signs runs
    os.environ["GENEXP_CACHE"] = f"{_FOLDER}/cache"  # decoded images and reference statistics are made once a session
    if sys.dont_write_bytecode and not os.path.exists(importlib.util.find_spec("torch").cached):
        # nothing is compiled and nothing may be kept: each of some thirty processes would compile torch for itself
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = f"{_FOLDER}/bytecode"
        sys.dont_write_bytecode = False

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["GENEXP_NO_SYSTEM_STATS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy
import pytest
import torch

from genexp.startup import postpone

postpone()  # as every command does: importing Lightning takes a tenth of the time, and tests meet what users get
torch.set_num_threads(1)

MOST_PROCESSES = 4  # of more than 1 GB each; pytest -n 8 takes more, -n 0 one
SLOW = (
    "tests/experiments/test_kills.py",  # a quarter of an hour in one piece, with -m slow, as is the next
    "tests/readme/test_lines_run.py",
    "tests/runs/test_damage_matrix.py",
    "tests/config/test_validation.py",
    "tests/sweeps/",
    "tests/ablations/",
    "tests/notebooks/",
    "tests/pool/",
    "tests/experiments/",
)


def pytest_collection_modifyitems(items):
    """What takes longest in one piece begins first, so that no process waits for another at the end.

    A name that holds an address in memory is another one in every process, and several collect other tests then: one
    process refuses it as well, so that it is seen wherever the file of the test is run.
    """
    if addressed := [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]+", item.nodeid)]:
        raise pytest.UsageError(f"a test's name must hold no address in memory (see its ids), got {addressed[0]}")

    def place(item):
        return next((place for place, name in enumerate(SLOW) if item.nodeid.startswith(name)), len(SLOW))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """A process a core for folders of tests; none beside this one where only files or single tests are named."""
    if all(".py" in argument for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES) if cores > 1 else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests go one by one to whichever process is free; those of a file that shares fixtures stay together.

    Such a file (a trained run, a browser, a sweep) has fixtures of `scope="module"`, or says `xdist_group`: its tests
    start processes themselves. (xdist's own groups need node ids that pytest 9 no longer lets it change.)
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    @functools.cache
    def stays_together(path):
        text = (config.rootpath / path).read_text()
        return 'scope="module"' in text or "xdist_group" in text

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split("::")[0]
            return path if stays_together(path) else nodeid

    return Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """A slow test gives its memory back: rings of objects hold full-size networks, and glibc keeps what they free."""
    ended = yield
    if item.get_closest_marker("slow") and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        gc.collect()
        trim(0)
    return ended


@pytest.fixture(autouse=True)
def known_numbers():
    """A test that draws without naming a seed draws the same numbers whichever tests ran before it in its process."""
    for start in (random.seed, numpy.random.seed, torch.manual_seed):
        start(0)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Outputs and data of a test go to its own folder, never to the checkout or the home folder."""
    monkeypatch.setenv("GENEXP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("GENEXP_DATA", str(tmp_path / "data"))
