"""Real sweeps through the command line: folders, failures, ranks, and what is left after kill -9."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import forking
import tiny
from genexp.runs.records import load_recorded
from genexp.runs.run_folder import RunFolder

HERE = Path(__file__).parent
SPY = ["+callbacks.spy._target_=rank_spy.RankSpy"]
LEAKING = {
    "LOCAL_RANK": "1",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "NODE_RANK": "1",
    "MASTER_ADDR": "nowhere.invalid",
    "MASTER_PORT": "1",
    "SLURM_NTASKS": "4",
    "SLURM_JOB_NAME": "train",
    "SLURM_PROCID": "3",
    "GENEXP_RUN_DIR": "/nowhere",
}


def start(outputs, *arguments, program=None, **environment):
    own = {"GENEXP_OUTPUTS": str(outputs), "PYTHONPATH": str(HERE), "GENEXP_TRUST": "rank_spy."}
    return subprocess.Popen(
        [*(program or forking.genexp()), "train", *arguments],
        env={**os.environ, **own, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process, seconds=120):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def sweeps(outputs):
    return sorted(path.parent for path in outputs.glob("multirun/*/sweep.json"))


def ranks(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank_*.json"))]


def alive(sweep):
    """Processes that still hold the lock of a sweep."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(each) == str(sweep / ".lock") for each in (process / "fd").iterdir()):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def two_at_once(tmp_path_factory):
    """Two sweeps started in the same moment: one of DDP jobs, half of which crash, with rank variables around it."""
    outputs = tmp_path_factory.mktemp("sweeps") / "outputs"
    two = ["trainer=ddp_cpu", "seed=0,1", "model.latent_size=4,-1"]
    first = start(outputs, "-m", *tiny.overrides_for("vae"), *SPY, *two, **LEAKING)
    recipes = outputs.parent / "my recipes" / "experiment"
    recipes.mkdir(parents=True)
    (recipes / "mine.yaml").write_text("# @package _global_\nnotes: from my own folder\n")
    own = ["experiment=mine", "threads=auto", "seed=5,6"]
    second = start(outputs, "-m", f"--config-dir={recipes.parent}", *tiny.overrides_for("vae"), *SPY, *own)
    ended = [end(first), end(second)]
    by_jobs = {len(json.loads((path / "sweep.json").read_text())["jobs"]): path for path in sweeps(outputs)}
    return ended, by_jobs


def test_sweeps_of_one_second_have_a_folder_each_and_so_have_their_jobs(two_at_once):
    ended, by_jobs = two_at_once
    assert sorted(by_jobs) == [2, 4], [each[2] for each in ended]
    assert ended[1][0] == 0, ended[1][2]
    folders = [by_jobs[2] / "000", by_jobs[2] / "001", by_jobs[4] / "000", by_jobs[4] / "002"]
    records = [RunFolder(folder).record for folder in folders]
    assert [record["state"] for record in records] == ["finished"] * 4
    assert len({record["id"] for record in records}) == 4
    assert [RunFolder.open(folder).path for folder in folders] == folders
    assert len(list(by_jobs[2].parent.rglob("run.json"))) == 4


def test_recipes_of_a_folder_of_ones_own_reach_the_jobs(two_at_once):
    assert load_recorded(RunFolder(two_at_once[1][2] / "001").config_path).notes == "from my own folder"


def test_a_crashing_job_is_named_and_does_not_stop_the_rest(two_at_once):
    (status, out, err), by_jobs = two_at_once[0][0], two_at_once[1]
    assert status == 1
    assert "2 of 4 jobs did not finish: job 1 seed=0 model.latent_size=-1 (failed), job 3 seed=1" in err
    assert "model.latent_size: must be a whole number of at least 1, got -1" in err  # the end of the job's log
    assert "model.latent_size: must be a whole number of at least 1, got -1" in (by_jobs[4] / "001/job.log").read_text()
    states = [job["state"] for job in json.loads((by_jobs[4] / "sweep.json").read_text())["jobs"]]
    assert states == ["finished", "failed", "finished", "failed"]
    assert out.count("finished") == 2


def test_the_two_ranks_of_a_job_share_weights_and_know_nothing_of_ranks_outside(two_at_once):
    for number in ("000", "002"):
        first, second = ranks(two_at_once[1][4] / number)
        assert first["world_size"] == second["world_size"] == 2
        assert first["weights"] == second["weights"]
        assert first["pid"] != second["pid"]
        assert first["slurm"] is None
    alone = [ranks(two_at_once[1][2] / number) for number in ("000", "001")]
    assert [len(each) for each in alone] == [1, 1]
    assert not any(each[0]["cannot_use_cuda"] for each in alone)
    assert alone[0][0]["weights"] != alone[1][0]["weights"]


def test_the_value_of_a_job_is_the_best_of_its_folder_and_threads_are_shared(two_at_once):
    sweep = two_at_once[1][2]
    for job in json.loads((sweep / "sweep.json").read_text())["jobs"]:
        folder = RunFolder(sweep / job["folder"])
        assert job["value"] == folder.metrics["best"]["value"]
        (rank,) = ranks(folder.path)
        assert rank["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)


def test_a_sweep_that_was_killed_goes_on_with_what_is_missing(tmp_path):
    outputs = tmp_path / "it's (a place), with=signs"
    outputs = tmp_path / "it's (a place), with=signs"
    length = ["training.max_images=3200", "training.evaluate_every=1600", "training.checkpoint_every=320"]
    command = ["-m", *tiny.overrides_for("vae"), *length, "seed=0,1,2", "hydra.launcher.slots=1"]
    first = start(outputs, *command, program=forking.FRESH)
    wait_for(lambda: list(outputs.glob("multirun/*/001/checkpoints/last.ckpt")))
    (sweep,) = sweeps(outputs)
    for pid in {first.pid, *alive(sweep)}:
        os.kill(pid, signal.SIGKILL)
    assert end(first)[0] == -signal.SIGKILL
    wait_for(lambda: not alive(sweep), seconds=5)
    ids = [RunFolder(sweep / number).record["id"] for number in ("000", "001")]
    untouched = (sweep / "000/run.json").stat().st_mtime_ns
    assert RunFolder(sweep / "001").record["state"] == "running"
    assert not (sweep / "002").exists()

    status, out, err = end(start(outputs, *command, f"sweep.resume={sweep}"))
    assert status == 0, err
    assert out.count("finished") == 3
    assert "finished  1 of 3 jobs already" in err
    assert "started   1 seed=1  from its checkpoint" in err
    folders = [RunFolder.open(path) for path in sorted(sweep.glob("*/run.json"))]
    assert [folder.path.name for folder in folders] == ["000", "001", "002"]
    assert [folder.record["id"] for folder in folders[:2]] == ids
    assert [folder.record.get("resumed") for folder in folders] == [None, 1, None]
    assert [folder.metrics["images_seen"] for folder in folders] == [3200] * 3
    assert (sweep / "000/run.json").stat().st_mtime_ns == untouched

    before = {path: path.stat().st_mtime_ns for path in sweep.rglob("*") if path.is_file() and path.parent != sweep}
    status, out, err = end(start(outputs, "-m", f"sweep.resume={sweep}"))
    assert (status, out.count("finished")) == (0, 3), err
    assert before == {path: path.stat().st_mtime_ns for path in before}
