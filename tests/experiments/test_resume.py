"""A run that was killed and resumed is the run that was not: weights, averages, optimisers, counters, data, metrics."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from omegaconf import OmegaConf

import tiny
from genexp.callbacks.cadence import StopAfter
from genexp.families.base import Family

STATE = ("state_dict", "averaged", "optimizer_states", "counters", "ImageData")


class Killed(RuntimeError):
    """Stands for a process that is gone."""


@pytest.fixture
def kill_after(monkeypatch):
    """Make training die once, right after batch `n`."""

    def arrange(n):
        original = StopAfter.on_train_batch_end
        alive = {"killed": False}

        def on_train_batch_end(self, trainer, pl_module, *rest):
            if pl_module.batches == n and not alive["killed"]:
                alive["killed"] = True
                raise Killed
            original(self, trainer, pl_module, *rest)

        monkeypatch.setattr(StopAfter, "on_train_batch_end", on_train_batch_end)

    return arrange


def rows(folder):
    """The evaluation lines of a run, without the times."""
    lines = [{k: v for k, v in row.items() if k != "seconds"} for row in folder.history()]
    return [row for row in lines if not any(k.startswith("train/") for k in row)]


# batches after which a kill falls inside an epoch, right after an evaluation, and in the second epoch
@pytest.mark.parametrize(
    ("family", "kill"),
    [
        pytest.param(family, kill, marks=[] if kill == 4 else [pytest.mark.slow])
        for family in tiny.FAMILIES
        for kill in (2, 4, 7)
    ],
)
def test_killed_and_resumed_equals_straight(family, kill, kill_after, tmp_path):
    overrides = tiny.overrides_for(family)
    straight = tiny.run([*overrides, f"paths.outputs={tmp_path / 'straight'}"])
    resumed_at = [*overrides, f"paths.outputs={tmp_path / 'resumed'}", "resume=auto"]
    kill_after(kill)
    with pytest.raises(Killed):
        tiny.run(resumed_at)
    died = tiny.newest(tmp_path / "resumed")
    assert died.record["state"] == "failed"
    resumed = tiny.run(resumed_at)
    assert resumed.path == died.path
    expected, got = tiny.checkpoint(straight), tiny.checkpoint(resumed)
    for part in STATE:
        assert tiny.differences(expected.get(part), got.get(part), part) == []
    assert rows(resumed) == rows(straight)
    assert resumed.record["resumed"] == 1


def test_a_killed_and_resumed_run_draws_the_strip_of_one_that_was_not(kill_after, tmp_path):
    strip = ["training.evaluate_every=64", "callbacks.sample_grid.evolution=2", "metrics=none"]
    typed = [*tiny.overrides_for("gan"), *strip]
    whole = tiny.run([*typed, f"paths.outputs={tmp_path / 'whole'}"])
    again = [*typed, f"paths.outputs={tmp_path / 'again'}", "resume=auto"]
    kill_after(7)
    with pytest.raises(Killed):
        tiny.run(again)
    pictures = [folder.samples / "evolution_0000000320.png" for folder in (whole, tiny.run(again))]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_run_from_before_a_new_key_is_found_again_after_two_kills(kill_after, tmp_path):
    overrides = [*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "resume=auto"]
    kill_after(4)
    with pytest.raises(Killed):
        tiny.run(overrides)
    died = tiny.newest(tmp_path)
    earlier = OmegaConf.load(died.config_path)
    del earlier.training.recompute
    died.config_path.write_text(OmegaConf.to_yaml(earlier))
    record = json.loads((died.path / "run.json").read_text()) | {"config_digest": "of_an_earlier"}
    (died.path / "run.json").write_text(json.dumps(record))
    kill_after(7)
    with pytest.raises(Killed):
        tiny.run(overrides)
    assert tiny.newest(tmp_path).path == died.path
    assert "recompute" in OmegaConf.load(died.config_path).training
    assert not died.record["changed"]
    assert tiny.run(overrides).path == died.path
    assert (died.record["resumed"], died.record["state"]) == (2, "finished")


def test_a_finished_run_is_extended_exactly(tmp_path):
    overrides = [*tiny.overrides_for("diffusion"), "ramp@model.learning_rate=constant"]
    straight = tiny.run([*overrides, f"paths.outputs={tmp_path / 'straight'}", "training.max_images=256"])
    short = tiny.run([*overrides, f"paths.outputs={tmp_path / 'short'}", "training.max_images=128"])
    longer = tiny.run(
        [*overrides, f"paths.outputs={tmp_path / 'short'}", "training.max_images=256", f"resume={short.path}"]
    )
    assert longer.path == short.path
    expected, got = tiny.checkpoint(straight), tiny.checkpoint(longer)
    for part in STATE:
        assert tiny.differences(expected[part], got[part], part) == []


def test_the_command_line_extends_a_run_and_everything_that_depends_on_its_length(tmp_path, monkeypatch):
    """`resume=<run>` starts from the overrides of the run: lengths, ramps and callbacks follow the new value."""
    from genexp.__main__ import main

    def genexp(*arguments):
        monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
        assert main() == 0

    genexp("train", *tiny.overrides_for("diffusion"), f"paths.outputs={tmp_path}")
    folder = tiny.newest(tmp_path)
    genexp("train", f"resume={folder.path}", "training.max_images=512")
    assert tiny.newest(tmp_path).path == folder.path
    assert tiny.checkpoint(folder)["counters"]["images_seen"] == 512
    assert folder.record["changed"]["training.max_images"] == [320, 512]
    assert folder.record["changed"]["model.learning_rate.images"] == [320, 512]
    rates = {row["images_seen"]: row["train/learning_rate"] for row in folder.history() if "train/learning_rate" in row}
    assert 0 < rates[384] < rates[64]
    genexp("train", f"resume={folder.path}", "training.max_images=576")
    assert tiny.checkpoint(folder)["counters"]["images_seen"] == 576


@pytest.mark.parametrize(("typed", "used"), [([], 1), (["threads=2"], 2)])
def test_a_resumed_run_keeps_its_threads_unless_others_are_typed(typed, used, tmp_path, monkeypatch):
    from genexp.__main__ import main

    def threads_of(*arguments):
        monkeypatch.setattr(sys, "argv", ["genexp", "train", *arguments])
        assert main() == 0
        return torch.get_num_threads()

    free = [each for each in tiny.overrides_for("vae") if not each.startswith("threads=")]
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert threads_of(*free, f"paths.outputs={tmp_path}") == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert threads_of(f"resume={tiny.newest(tmp_path).path}", "training.max_images=352", *typed) == used
    finally:
        torch.set_num_threads(before)


def test_resume_auto_starts_anew_for_another_configuration_and_after_the_end(tmp_path):
    overrides = [*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "resume=auto"]
    first = tiny.run(overrides)
    second = tiny.run(overrides)
    assert first.path != second.path


def test_resuming_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="resume must be a run folder"):
        tiny.run([*tiny.overrides_for("vae"), f"resume={tmp_path}"])


def test_noise_depends_on_the_batch_not_on_what_ran_before(tmp_path, monkeypatch):
    """Evaluations in between must not disturb training."""
    overrides = [*tiny.overrides_for("gan"), "training.checkpoint_every=10000"]
    often = tiny.run([*overrides, f"paths.outputs={tmp_path / 'often'}", "training.evaluate_every=32"])
    once = tiny.run([*overrides, f"paths.outputs={tmp_path / 'once'}", "training.evaluate_every=320"])
    expected, got = tiny.checkpoint(once), tiny.checkpoint(often)
    assert tiny.differences(expected["state_dict"], got["state_dict"]) == []


@pytest.mark.slow  # test_kills has every window
def test_kill_minus_nine_leaves_a_checkpoint_that_loads_and_continues(tmp_path):
    """A real process, really killed, many checkpoints a second."""
    arguments = [
        *tiny.overrides_for("vae"),
        "training.max_images=100000000",
        "training.checkpoint_every=32",
        "training.evaluate_every=100000000",
        f"paths.outputs={tmp_path}",
        "resume=auto",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "genexp", "train", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("last.ckpt")):
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = tiny.newest(tmp_path)
    seen = tiny.checkpoint(folder)["counters"]["images_seen"]
    assert seen >= 32
    length = [f"training.max_images={seen + 64}", "training.checkpoint_every=32"]
    again = [*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", f"resume={folder.path}", *length]
    resumed = tiny.run(again)
    assert resumed.path == folder.path
    assert tiny.checkpoint(resumed)["counters"]["images_seen"] == seen + 64


def test_training_noise_is_seeded_by_batch_and_rank():
    import torch

    drawn = {}
    for rank, batch in ((0, 0), (0, 1), (1, 0)):
        model = type("Stub", (Family,), {"global_rank": rank})()
        model.batches = batch
        model.on_train_batch_start({}, 0)
        drawn[rank, batch] = torch.randn(4)
    assert not torch.equal(drawn[0, 0], drawn[0, 1])
    assert not torch.equal(drawn[0, 0], drawn[1, 0])
