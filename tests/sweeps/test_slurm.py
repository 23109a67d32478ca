"""Sweeps that a cluster runs: with submitit's local executor, and on a SLURM that a script imitates."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import imitated_slurm
import pytest
from omegaconf import OmegaConf
from submitit import SlurmExecutor

import forking
import tiny
from genexp.commands import launch
from genexp.config.compose import compose
from genexp.pool.record import SweepFolder, is_finished
from genexp.runs.run_folder import RunFolder
from genexp.sweeps.slurm_job import SubmittedJob, local_ranks
from genexp.sweeps.slurm_launcher import queue_settings, require_submittable, still_alive

HERE = Path(__file__).parent
PREEMPTED = "+callbacks.preempted._target_=preempted.Preempted"
SPY = "+callbacks.spy._target_=rank_spy.RankSpy"


def sweep(outputs, *arguments, **environment):
    own = {"GENEXP_OUTPUTS": str(outputs), "PYTHONPATH": str(HERE), "GENEXP_TRUST": "rank_spy.,preempted."}
    done = subprocess.run(
        [*forking.genexp(), "train", "-m", *tiny.overrides_for("vae"), *arguments],
        env={**os.environ, **own, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    (folder,) = [path.parent for path in outputs.glob("multirun/*/sweep.json")]
    return done, folder


def rank(folder, number=0):
    return json.loads((folder / f"rank_{number}.json").read_text())


def test_a_preempted_job_goes_on_in_its_folder_and_ends_as_one_that_was_not(tmp_path):
    preempted = [PREEMPTED, SPY, "+callbacks.preempted.images=0,200"]
    around = {"LOCAL_RANK": "1", "SLURM_NTASKS": "4", "PYTHON_OF_JOBS": forking.python_of_jobs()}
    done, folder = sweep(tmp_path, "launcher=slurm_local", *preempted, **around)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 2
    assert sorted(path.parent.name for path in folder.rglob("run.json")) == ["000", "001"]
    runs = [RunFolder(folder / number) for number in ("000", "001")]
    assert [run.record.get("resumed") for run in runs] == [None, 1]
    assert [(run.record["state"], run.metrics["images_seen"]) for run in runs] == [("finished", 320)] * 2
    assert "resuming    after 192 images" in (folder / "001/job.log").read_text()
    assert rank(folder / "000")["weights"] == rank(folder / "001")["weights"]
    seen = [[row["images_seen"] for row in run.history()] for run in runs]
    assert seen[0] == seen[1]
    assert [run.record["group"] for run in runs] == [folder.name] * 2
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [(job["state"], job["attempts"], job["submitted"]) for job in jobs] == [
        ("finished", n, None) for n in (1, 2)
    ]


@pytest.mark.slow
def test_slurm_starts_the_ranks_of_every_job_and_requeues_them_together(tmp_path):
    slurm = imitated_slurm.install(tmp_path / "slurm")
    ranks = ["trainer=ddp_cpu", "trainer.strategy=ddp_find_unused_parameters_true"]
    preempted = [PREEMPTED, SPY, "+callbacks.preempted.images=0,200"]
    done, folder = sweep(tmp_path, "launcher=slurm", *ranks, *preempted, **slurm)
    assert done.returncode == 0, done.stderr
    assert "submitted 2 jobs to slurm (4100)" in done.stderr
    assert sorted(path.parent.name for path in folder.rglob("run.json")) == ["000", "001"]
    assert [RunFolder(folder / number).record.get("resumed") for number in ("000", "001")] == [None, 1]
    seen = [rank(folder / run, number) for run in ("000", "001") for number in (0, 1)]
    assert len({each["weights"] for each in seen}) == 1
    assert {each["world_size"] for each in seen} == {2}
    assert {each["slurm"] for each in seen} == {"2"}
    script = (next(folder.glob(".submitit/*submission*.sh"))).read_text()
    for option in ("--array=0-1%2", "--ntasks-per-node=2", "--nodes=1", "--signal=USR2@60", "--gpus-per-node=0"):
        assert option in script


def test_where_there_is_no_slurm_the_refusal_says_so(tmp_path, monkeypatch, capsys):
    from genexp.__main__ import main

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["genexp"])
    with pytest.raises(SystemExit):
        main(["train", "-m", "launcher=slurm", "model=vae", "seed=0,1"])
    assert "launcher=slurm must be used on a machine of the cluster, got one without srun" in capsys.readouterr().err


def test_jobs_that_slurm_still_has_are_not_handed_in_again(tmp_path, monkeypatch):
    for name, value in imitated_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    for job in ("4100_0.RUNNING", "4100_1.COMPLETED"):
        (tmp_path / "slurm" / job).touch()
    executor = SlurmExecutor(tmp_path / "%j")
    assert still_alive(executor, None, 1) is None
    assert still_alive(executor, "4100_0", 2).num_tasks == 2
    assert still_alive(executor, "4100_1", 1) is None
    assert still_alive(executor, "77", 1) is None


@pytest.fixture
def vae(tmp_path):
    """A sweep of one tiny job, with the command that a cluster would call."""
    folder = SweepFolder(tmp_path / "sweep")
    job = folder.job_for([*tiny.overrides_for("vae"), "launcher=slurm", "training.max_images=96"])
    folder.save()
    assert "launcher=slurm" not in job.overrides  # may be continued elsewhere
    return folder, job, SubmittedJob(folder.path / job.folder, folder.requeueable_arguments(job))


@pytest.fixture
def called_by_slurm(monkeypatch):
    import submitit

    monkeypatch.setattr(submitit, "JobEnvironment", lambda: SimpleNamespace(cluster="slurm"))
    monkeypatch.setattr(sys, "argv", ["submitit"])
    monkeypatch.delitem(sys.modules, "genexp.__main__", raising=False)


def test_a_job_that_had_no_checkpoint_yet_begins_anew_in_the_same_folder(vae, called_by_slurm):
    folder, job, submitted = vae
    submitted()
    run = folder.run_folder(job)
    first = run.record
    rows = [row["images_seen"] for row in run.history()]
    assert is_finished(run)
    assert first["group"] == "sweep"

    submitted()  # called again after its end, it does nothing
    assert run.record == first

    run.last.unlink()
    (run.path / "metrics.json").unlink()
    run.update_record(state="running")
    (run.samples / "samples_0000009999.png").touch()
    submitted()
    assert run.record["id"] == first["id"]
    assert run.record["resumed"] == 1
    assert [row["images_seen"] for row in run.history()] == rows
    assert not (run.samples / "samples_0000009999.png").exists()
    assert len(list(folder.path.rglob("run.json"))) == 1


def test_a_folder_is_not_continued_by_another_configuration(vae, called_by_slurm, capsys):
    from genexp.config.messages import JobFailed

    _, _, submitted = vae
    other = RunFolder.claim(submitted.folder, {"id": "a", "state": "running", "config_digest": "another"})
    config = compose("train", ["model=vae", "trainer.precision=32-true", "threads=1", "trainer=cpu"])
    other.config_path.write_text(OmegaConf.to_yaml(config, resolve=True))
    with pytest.raises(JobFailed, match="ended with status 1: genexp train model=vae"):
        submitted()
    assert "run_dir must hold a run of this configuration" in capsys.readouterr().err


def test_a_job_that_is_ended_leaves_no_verdict_for_slurm_may_call_it_again(vae, called_by_slurm, monkeypatch):
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    def terminated(name, command, arguments):
        raise SIGTERMException

    monkeypatch.setattr(launch, "launch", terminated)
    with pytest.raises(SIGTERMException):
        vae[2]()


def test_a_requeue_leaves_the_process_and_calls_the_same_job_again(vae, called_by_slurm, monkeypatch):
    _, _, submitted = vae

    def asked_to_leave(name, command, arguments):
        again = submitted.checkpoint()
        assert again.function == submitted
        sys.exit(1)

    monkeypatch.setattr(launch, "launch", asked_to_leave)
    with pytest.raises(SystemExit):
        submitted()


def test_further_ranks_take_the_folder_that_rank_zero_has_claimed(tmp_path, monkeypatch):
    from genexp.training.claim import claim_folder
    from genexp.training.taking_up import ClaimedRun

    monkeypatch.setenv("SLURM_PROCID", "1")
    RunFolder.claim(tmp_path / "run", {"id": "a"}).config_path.write_text("{}")
    plain = {"run_dir": str(tmp_path / "run"), "resume": "auto", "trainer": {"num_nodes": 1}}
    assert claim_folder(plain) == ClaimedRun(RunFolder(tmp_path / "run"), is_further=True)
    RunFolder(tmp_path / "run").last.touch()
    assert claim_folder(plain).checkpoint == tmp_path / "run/checkpoints/last.ckpt"
    with pytest.raises(ValueError, match="run_dir must name the run's folder where the ranks are started from outside"):
        claim_folder({**plain, "run_dir": None, "resume": None})


def test_ranks_of_the_local_executor_are_told_to_lightning():
    place = SimpleNamespace(num_tasks=2, local_rank=1, job_id="31007")
    environment = local_ranks(place, {"HOME": "/", "SLURM_NTASKS": "8", "RANK": "7"})
    own = {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "16007"}
    assert environment == {"HOME": "/"} | own
    place.num_tasks = 1
    assert local_ranks(place, {"HOME": "/", "LOCAL_RANK": "1"}) == {"HOME": "/"}


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"devices": -1}, "trainer.devices must be a number from 1 where a cluster starts the ranks, got -1"),
        ({"devices": "auto"}, "got auto"),
        (
            {"devices": 2, "strategy": "ddp_fork_find_unused_parameters_true"},
            "such as ddp_find_unused_parameters_true, got ddp_fork_find_unused_parameters_true",
        ),
    ],
)
def test_ranks_that_lightning_would_start_are_refused(trainer, message):
    with pytest.raises(ValueError, match=message):
        require_submittable(OmegaConf.create(trainer))
    assert require_submittable(OmegaConf.create({"devices": 4, "strategy": "ddp_find_unused_parameters_true"})) == 4


def test_presets_hold_what_the_plugin_takes_and_nothing_else():
    for launcher in ("slurm", "slurm_local"):
        config = compose("train", [f"launcher={launcher}"], with_hydra=True)
        node = OmegaConf.to_container(config.hydra.launcher)
        assert node.pop("_target_") == "hydra_plugins.genexp.SubmititLauncher"
        cluster, *_ = [node.pop(key) for key in ("cluster", "poll", "resume", "trust")]
        common, special = queue_settings(cluster, node)
        assert "gpus_per_node" in common
        assert "partition" in special if cluster == "slurm" else set(special) == {"max_num_timeout"}
        for wrong, message in (({"partitoin": "gpu"}, "partitoin"), ({"timeout_min": "long"}, "timeout_min|long")):
            with pytest.raises(ValueError, match=f"must hold settings of hydra-submitit-launcher: .*({message})"):
                queue_settings(cluster, node | wrong)
    assert compose("train", [], with_hydra=True).hydra.launcher._target_ == "hydra_plugins.genexp.PoolLauncher"


def test_without_the_extra_the_refusal_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher", None)
    with pytest.raises(ValueError, match=r"pip install 'genexp\[slurm\]'"):
        queue_settings("slurm", {"max_num_timeout": 1})
