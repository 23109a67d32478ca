"""Sweeps with the logger that users get: every job keeps its W&B run, whatever ended before it."""

import json
import os
import subprocess
import sys

import pytest
from test_study_command import QUESTION
from test_sweep_command import end, start, sweeps
from test_wandb import history, records

import forking
import tiny
from genexp.pool import preloading

SWEEP = [each for each in tiny.overrides_for("vae") if each not in ("logger=none", "threads=1")]


@pytest.mark.parametrize("slots", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_jobs_after_one_another_and_side_by_side_keep_their_wandb_runs(tmp_path, slots):
    (tmp_path / "temporary").mkdir()
    settings = {"WANDB_MODE": "offline", "TMPDIR": str(tmp_path / "temporary")}
    code, out, err = end(start(tmp_path, "-m", *SWEEP, "seed=0,1,2", f"hydra.launcher.slots={slots}", **settings))
    assert code == 0, err + out
    (sweep,) = sweeps(tmp_path)
    for job in ("000", "001", "002"):
        found = records(tiny.RunFolder.open(sweep / job))
        assert history(found)
        assert [record["type"] for record in found].count("exit") == 1
        pictures = list((sweep / job).glob("wandb/offline-run-*/files/media/images/**/*.png"))
        assert pictures
    assert left_in(tmp_path / "temporary") == []


def left_in(temporary):
    """What our jobs or wandb have left in a temporary folder."""
    return [each for each in os.listdir(temporary) if each.startswith("genexp-") or "wandb" in each]


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2])
def test_trials_of_a_search_keep_their_wandb_runs(tmp_path, slots):
    for folder in ("temporary", "mine/sweep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mine/sweep/rates.yaml").write_text(QUESTION)
    settings = {"WANDB_MODE": "offline", "TMPDIR": str(tmp_path / "temporary")}
    asked = ["sweep=rates", "hydra.sweeper.n_trials=3", "hydra.sweeper.pruner=median", f"hydra.launcher.slots={slots}"]
    code, out, err = end(start(tmp_path, f"--config-dir={tmp_path / 'mine'}", *asked, *SWEEP[1:], **settings))
    assert code == 0, err + out
    (sweep,) = sweeps(tmp_path)
    states = {f"{job['number']:03d}": job["state"] for job in json.loads((sweep / "sweep.json").read_text())["jobs"]}
    assert set(states) == {"000", "001", "002"}
    assert set(states.values()) <= {"finished", "pruned"}
    for number in states:
        folder = tiny.RunFolder.open(sweep / number)
        found = records(folder)
        assert history(found)
        assert [record["type"] for record in found].count("exit") == 1
        assert {record["run"]["run_id"] for record in found if record["type"] == "run"} == {folder.record["id"]}
        assert list((sweep / number).glob("wandb/offline-run-*/files/media/images/**/*.png"))
    assert left_in(tmp_path / "temporary") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="jobs are no forks there")
def test_nothing_that_is_imported_for_all_jobs_makes_a_temporary_folder_of_its_own(tmp_path):
    """Seen at the process that forks for tests, which imports what the one of a sweep does, and the commands."""
    (tmp_path / "asked.py").write_text("import sys; print('wandb' in sys.modules, 'lightning' in sys.modules)")
    asked = [*forking.genexp(), "-m", "asked"]
    out = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False True"
    assert set(os.listdir(forking.temporary())) <= {"torchinductor_root"}


def test_a_fork_runs_no_exit_handler_that_was_registered_before_it(tmp_path):
    """The kind: wandb's folder was removed for all by the first job that ended."""
    (tmp_path / "with_state.py").write_text(
        "import atexit, tempfile\nfolder = tempfile.TemporaryDirectory(dir='.')\natexit.register(folder.cleanup)\n"
    )
    code = (
        "import atexit, os, sys; sys.path.insert(0, '.')\n"
        "from genexp.pool import preloading\n"
        "preloading._import_all = lambda modules: __import__('with_state')\n"
        "preloading.preload()\n"
        "import with_state\n"
        "if os.fork() == 0:\n"
        "    preloading.disown()\n"
        "    atexit.register(lambda: open('own', 'w').close())\n"
        "    atexit._run_exitfuncs(); os._exit(0)\n"
        "os.wait(); print(os.path.isdir(with_state.folder.name), os.path.isfile('own'))\n"
        "sys.stdout.flush(); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["True", "True"], done.stderr
    assert preloading._inherited == []
