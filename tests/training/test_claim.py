"""One process trains in a folder; a run that was killed at whatever moment is continued or begun anew."""

import json
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from genexp.ranks import is_further_rank
from genexp.runs.run_folder import DamagedRun, RunFolder
from genexp.runs.trust import seal
from genexp.training import claim
from genexp.training.claim import claim_folder
from genexp.training.taking_up import ClaimedRun
from recorded import CONFIG

HOLDER = """
import sys, time
from pathlib import Path
from genexp.runs.run_folder import RunFolder
assert RunFolder(Path(sys.argv[1])).hold()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def plain(tmp_path):
    """As much of a resolved configuration as a claim reads."""
    keys = {"resume": None, "run_dir": None, "name": "run", "group": None, "tags": []}
    return CONFIG | keys | {"paths": {"outputs": str(tmp_path / "outputs")}}


@pytest.fixture
def claimed(plain):
    """Claims as a command with these keys does; every folder is let go at the end."""
    folders = []

    def run(**keys):
        given = plain | keys
        claim = claim_folder(given)
        claim.take_up(given)
        folders.append(claim.folder)
        return claim.folder, claim.checkpoint

    yield run
    for folder in folders:
        folder.release()


@pytest.fixture
def elsewhere():
    """Another process that trains in a folder."""
    started = []

    def hold(folder):
        process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder.path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "held\n"
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def with_checkpoint(folder):
    folder.last.touch()
    return folder


def test_a_new_run_is_held_and_begun(claimed):
    folder, checkpoint = claimed()
    assert folder.is_running
    assert folder.begun
    assert checkpoint is None


@pytest.mark.parametrize("before_its_first_checkpoint", [True, False])
def test_resume_auto_leaves_a_run_of_another_terminal_alone(before_its_first_checkpoint, claimed, elsewhere):
    live, _ = claimed()
    live.release()
    if not before_its_first_checkpoint:
        with_checkpoint(live)
    (live.path / "metrics.jsonl").write_text('{"images_seen": 1}\n')
    process = elsewhere(live)
    record = live.record
    folder, _ = claimed(resume="auto")
    assert folder.path != live.path
    assert live.record == record
    assert (live.path / "metrics.jsonl").is_file()

    process.kill()
    process.wait()
    assert claimed(resume="auto")[0] == live
    assert live.record["resumed"] == 1


def test_a_run_that_another_process_trains_is_not_continued_by_name(claimed, elsewhere):
    live, _ = claimed()
    with_checkpoint(live).release()
    process = elsewhere(live)
    with pytest.raises(ValueError, match=r"resume must name a run that has ended, got .* which is still running"):
        claimed(resume=str(live.path))
    process.kill()
    process.wait()
    assert claimed(resume=str(live.last)) == (live, live.last)


def test_a_run_that_is_called_again_waits_for_its_former_process(claimed, elsewhere, tmp_path, monkeypatch, capsys):
    again = {"run_dir": str(tmp_path / "run"), "resume": "auto"}
    live, _ = claimed(**again)
    with_checkpoint(live).release()
    process = elsewhere(live)
    monkeypatch.setattr(claim, "PATIENCE", 0.2)
    with pytest.raises(ValueError, match=r"run_dir must hold a run that has ended, got .* which is still running"):
        claimed(**again)
    assert "waiting     for the process that still trains" in capsys.readouterr().err
    with pytest.raises(FileExistsError, match=r"run_dir must be a folder without a run, .* a process trains there"):
        claimed(run_dir=str(live.path))
    process.kill()
    process.wait()
    assert claimed(**again) == (live, live.last)


@pytest.mark.parametrize("left", ["", "{", json.dumps({"id": "a", "state": "running", "config_digest": "x"})])
def test_a_claim_that_was_killed_is_begun_anew_in_its_folder(left, claimed, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(left)
    folder, checkpoint = claimed(run_dir=str(tmp_path / "run"), resume="auto")
    assert folder.path == tmp_path / "run"
    assert checkpoint is None
    assert folder.begun
    assert folder.record["id"] != "a"
    assert "resumed" not in folder.record


def test_a_claim_that_was_killed_stops_no_later_command(claimed, monkeypatch):
    class Killed(BaseException):
        """Stands for a process that is gone."""

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(claim, "write_atomically", killed)
        with pytest.raises(Killed):
            claimed()
    folder, _ = claimed(resume="auto")
    assert folder.begun
    folder.release()
    assert claimed(resume="auto")[0] == folder


def test_a_damaged_record_beside_a_checkpoint_is_named_and_nothing_is_lost(claimed, tmp_path):
    again = {"run_dir": str(tmp_path / "run"), "resume": "auto"}
    folder, _ = claimed(**again)
    with_checkpoint(folder).release()
    (folder.path / "run.json").write_text("{")
    with pytest.raises(DamagedRun, match=r"run\.json"):
        claimed(**again)
    assert folder.last.is_file()
    assert not folder.is_running


def test_a_command_that_is_refused_holds_nothing(claimed):
    folder, _ = claimed()
    folder.release()
    with pytest.raises(FileNotFoundError, match="resume must name a run with a checkpoint"):
        claimed(resume=str(folder.path))
    assert not folder.is_running
    with_checkpoint(folder).config_path.write_text("[]")
    with pytest.raises(ValueError, match=r"config\.yaml of the run .* must be"):
        claimed(resume=str(folder.path))
    assert not folder.is_running


def test_further_ranks_hold_nothing_and_wait_until_the_run_is_begun(claimed, plain, tmp_path, monkeypatch):
    folder, _ = claimed(run_dir=str(tmp_path / "run"))
    folder.release()
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert claim_folder(plain | {"run_dir": str(folder.path)}) == ClaimedRun(folder, is_further=True)
    assert not folder.is_running
    folder.config_path.unlink()
    with pytest.raises(FileNotFoundError, match="run_dir must be claimed by rank zero"):
        claim._folder_of_rank_zero(plain | {"run_dir": str(folder.path)}, patience=0.0)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID"])
def test_a_rank_is_known_by_what_its_launcher_says(name, monkeypatch):
    assert not is_further_rank()
    monkeypatch.setenv(name, "0")
    assert not is_further_rank()
    monkeypatch.setenv(name, "1")
    assert is_further_rank()


def test_overrides_that_would_change_hydra_itself_are_not_taken_from_a_folder(tmp_path):
    from genexp.commands.typed_arguments import started_with

    folder = RunFolder.claim(tmp_path, {"id": "a", "name": "x"})
    folder.config_path.write_text(OmegaConf.to_yaml(CONFIG | {"data": {"_target_": "x"}}))

    def typed(*overrides):
        folder.update_record(seal=seal("a", overrides))
        (folder.path / "overrides.yaml").write_text(OmegaConf.to_yaml(list(overrides)))

    typed("model=vae", "+callbacks.a._target_=x.Y", "resume=auto")
    expected = ["model=vae", "+callbacks.a._target_=x.Y", "trainer.precision=32-true", "paths.outputs='out'"]
    assert started_with(folder) == expected
    evil = "{_target_: os.mkdir, path: ran}"
    for each in (f"+hydra.callbacks.evil={evil}", f"+hydra={{callbacks: {{evil: {evil}}}}}", "hydra/launcher=basic"):
        typed("model=vae", each)
        with pytest.raises(ValueError, match=r"overrides\.yaml must hold no override of Hydra, got \+?hydra"):
            started_with(folder)


def test_another_logger_leaves_the_settings_of_the_one_before(tmp_path):
    """`resume=R logger=none` of a run whose W&B project was typed: Hydra would refuse the old key."""
    from genexp.commands.typed_arguments import started_with

    typed = ["model=vae", "logger.wandb.project=mine"]
    folder = RunFolder.claim(tmp_path, {"id": "a", "name": "x", "seal": seal("a", typed)})
    folder.config_path.write_text(OmegaConf.to_yaml(CONFIG | {"data": {"_target_": "x"}}))
    (folder.path / "overrides.yaml").write_text(OmegaConf.to_yaml(typed))
    assert "logger.wandb.project=mine" in started_with(folder)
    assert started_with(folder, {"logger"})[:2] == ["model=vae", "trainer.precision=32-true"]


@pytest.mark.parametrize("typed", [[], ["resume=auto"], ["resume=null"], ["sweep=null"], ["resume=auto", "seed=1"]])
def test_without_a_choice_it_is_the_quickstart_that_is_trained_or_continued(typed):
    """Else `genexp train`, killed, and `genexp train resume=auto` would be two models."""
    from genexp.commands.typed_arguments import overrides_of

    assert "experiment=quickstart" in overrides_of("train", typed)
    assert "experiment=quickstart" not in overrides_of("train", [*typed, "model=vae"])
