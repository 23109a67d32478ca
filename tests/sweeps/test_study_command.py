"""A real study through the command line: two commands, jobs of two ranks, one total."""

import json
import os
import subprocess
from pathlib import Path

import optuna
import pytest

import forking
import tiny
from genexp.runs.records import load_recorded
from genexp.runs.run_folder import RunFolder

HERE = Path(__file__).parent
QUESTION = """question: Which learning rate and size of the latent suit a tiny VAE?
metric: fd
direction: minimize
space:
  model.optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
  model.latent_size: {choices: [2, 4]}
overrides: [model=vae, seed=3]
"""
SHORT = ["training.max_images=96", "training.evaluate_every=64"]
TOTAL = 3


def command(outputs, *arguments):
    own = {"GENEXP_OUTPUTS": str(outputs), "PYTHONPATH": str(HERE), "GENEXP_TRUST": "rank_spy."}
    return subprocess.Popen(
        [*forking.genexp(), "train", *arguments],
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two commands on one study at once; each job has two ranks, and every rank writes down what it is."""
    outputs = tmp_path_factory.mktemp("study") / "outputs"
    questions = outputs.parent / "mine" / "sweep"
    questions.mkdir(parents=True)
    (questions / "tiny_vae.yaml").write_text(QUESTION)
    fixed = [each for each in tiny.overrides_for("vae") if each != "trainer=cpu"]
    spy = "+callbacks.spy._target_=rank_spy.RankSpy"
    journal = outputs.parent / "together.journal"
    study = ["hydra.sweeper.sampler=random", f"hydra.sweeper.n_trials={TOTAL}", f"hydra.sweeper.storage={journal}"]
    asked = [f"--config-dir={questions.parent}", "sweep=tiny_vae", *study, *fixed, *SHORT, spy, "trainer=ddp_cpu"]
    asked += ["hydra.launcher.slots=1"]
    both = [command(outputs, "-m", *asked, "hydra/sweeper=optuna"), command(outputs, *asked)]
    ended = [(*each.communicate(timeout=180), each.returncode) for each in both]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    return outputs, ended, optuna.load_study(study_name="tiny_vae", storage=storage)


def test_two_commands_reach_one_total_without_a_failure(shared):
    outputs, ended, study = shared
    assert [status for _, _, status in ended] == [0, 0], ended
    assert [(trial.number, trial.state.name) for trial in study.trials] == [(i, "COMPLETE") for i in range(TOTAL)]
    sweeps = list(outputs.glob("multirun/*/sweep.json"))
    assert len(sweeps) == 2
    numbers = [job["number"] for path in sweeps for job in json.loads(path.read_text())["jobs"]]
    assert sorted(numbers) == list(range(TOTAL))


def test_every_trial_has_one_folder_that_holds_its_values_and_its_result(shared):
    outputs, _, study = shared
    folders = [Path(trial.user_attrs["folder"]) for trial in study.trials]
    assert sorted(folders) == sorted(path.parent.resolve() for path in outputs.rglob("run.json"))
    for trial, path in zip(study.trials, folders, strict=True):
        config, folder = load_recorded(path / "config.yaml"), RunFolder(path)
        assert config.model.optimizer.lr == trial.params["model.optimizer.lr"]
        assert config.model.latent_size == trial.params["model.latent_size"]
        assert (config.seed, config.training.max_images, "sweep" in config) == (3, 96, False)
        assert trial.value == folder.metrics["best"]["value"]
        assert next(iter(trial.intermediate_values)) == 64


def test_both_ranks_of_a_job_train_with_the_values_of_its_trial(shared):
    for trial in shared[2].trials:
        spied = [json.loads(path.read_text()) for path in Path(trial.user_attrs["folder"]).glob("rank_*.json")]
        assert [each["world_size"] for each in spied] == [2, 2]
        assert spied[0]["weights"] == spied[1]["weights"]
        assert spied[0]["pid"] != spied[1]["pid"]


def test_tables_and_pictures_lie_in_the_sweep_folders_and_the_best_is_shown_first(shared):
    outputs, ended, study = shared
    last = max(outputs.glob("multirun/*/study.csv"), key=lambda path: path.stat().st_mtime)
    assert len(last.read_text().splitlines()) == 1 + TOTAL
    for path in outputs.glob("multirun/*"):
        assert {"study.csv", "history.png", "slices.png"} <= {each.name for each in path.iterdir()}
    longest = max((out for out, _, _ in ended), key=len).splitlines()
    assert longest[0].split()[:4] == ["trial", "fd", "lr", "latent_size"]
    assert longest[1].split()[0] == str(study.best_trial.number)
