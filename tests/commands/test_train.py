"""What a training run does to its folder when it ends, well or badly."""

import threading
from types import SimpleNamespace

import pytest

import tiny
from genexp.commands import train
from genexp.config.compose import compose
from genexp.runs.evaluations import EVALUATE, keep_evaluations, read_evaluations
from genexp.runs.run_folder import RunFolder
from genexp.training.closing import close_run
from genexp.training.taking_up import ClaimedRun


@pytest.fixture
def folder(tmp_path):
    """A run that has begun."""
    begun = RunFolder.claim(tmp_path / "run", {"id": "a", "name": "run"})
    begun.config_path.write_text("{}")
    return begun


@pytest.fixture
def cannot_be_assembled(monkeypatch):
    import genexp.training.assemble

    def refused(*_):
        raise ValueError("model must be another")

    monkeypatch.setattr(genexp.training.assemble, "assemble", refused)


@pytest.mark.usefixtures("cannot_be_assembled")
def test_a_run_that_never_began_leaves_no_folder(folder):
    with pytest.raises(ValueError, match="model must be another"):
        train._fit(None, ClaimedRun(folder))
    assert not folder.path.exists()


@pytest.mark.usefixtures("cannot_be_assembled")
def test_a_further_rank_that_fails_leaves_the_folder_to_rank_zero(folder):
    with pytest.raises(ValueError, match="model must be another"):
        train._fit(None, ClaimedRun(folder, is_further=True))
    assert folder.begun


def test_a_folder_is_held_while_it_is_trained_in_and_no_longer(tmp_path, monkeypatch):
    seen = []

    def fit(config, claim):
        seen.append((claim.folder, claim.folder.is_running))
        raise FloatingPointError("loss must be finite")

    monkeypatch.setattr(train, "_fit", fit)
    overrides = [*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "resume=auto"]
    for _ in range(2):
        with pytest.raises(FloatingPointError):
            train.train(compose("train", overrides))
    (first, first_held), (second, second_held) = seen
    assert first_held
    assert second_held
    assert first == second
    assert not first.is_running


def test_an_evaluation_that_ends_while_its_run_is_closed_is_kept(folder):
    model = SimpleNamespace(images_seen=64, batches=2, steps={"model": 2})
    experiment = SimpleNamespace(model=model, callbacks={}, loggers={})
    closing = threading.Thread(target=close_run, args=(folder, experiment, 1.0))
    closing.start()
    keep_evaluations(folder, {"fd": {"value": 1.0}}, EVALUATE, {"images_seen": 64})
    closing.join(30)
    assert [(row["key"], row["value"]) for row in read_evaluations(folder)] == [("fd", 1.0)]
    assert folder.metrics["images_seen"] == 64
    assert folder.record["state"] == "finished"
