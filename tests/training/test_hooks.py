"""What Lightning does around a step is left out where nothing comes of it, and nothing else is."""

from collections import Counter

import pytest
from lightning import Callback
from lightning.pytorch.profilers import SimpleProfiler
from omegaconf import OmegaConf

import tiny
from genexp.callbacks.cadence import LogTerms, StopAfter
from genexp.config.compose import compose
from genexp.runs.run_folder import RunFolder
from genexp.training.assemble import assemble
from genexp.training.hooks import HOOKS_OF_A_STEP, NoProfile, skip_empty_hooks
from genexp.training.quiet import quiet_lightning
from genexp.training.settle import settled


def assembled(tmp_path, *further):
    short = ["training.max_images=96", "metrics=none", "training.monitor=null", "trainer.limit_val_batches=0"]
    config = compose("train", [*tiny.overrides_for("vae"), *short, f"paths.outputs={tmp_path}", *further])
    run = RunFolder.claim(tmp_path / "run", {"id": "test", "name": "test"})
    return assemble(OmegaConf.create(settled(config)), run)


class Recorder(Callback):
    """A callback of somebody else."""

    def __init__(self):
        self.calls = Counter()

    def __getattribute__(self, name):
        if name.startswith("on_") and name in HOOKS_OF_A_STEP:
            self.calls[name] += 1
        return super().__getattribute__(name)


def test_hooks_of_a_callback_of_somebody_else_are_all_called(tmp_path):
    experiment = assembled(tmp_path)
    recorder = Recorder()
    experiment.trainer.callbacks.append(recorder)
    with quiet_lightning():
        experiment.trainer.fit(experiment.model, datamodule=experiment.data)
    batches = experiment.model.batches
    assert batches > 1
    expected = set(HOOKS_OF_A_STEP) - {"on_before_zero_grad"}  # gradients are set to None, not zeroed
    assert recorder.calls == dict.fromkeys(expected, batches)


def test_our_callbacks_keep_the_hooks_that_do_something():
    ours, theirs = [StopAfter(32), LogTerms(32)], Callback()
    skip_empty_hooks([*ours, theirs])
    for callback in ours:
        left = {name for name in HOOKS_OF_A_STEP if callable(getattr(callback, name))}
        assert left == {"on_train_batch_end"}
    assert all(callable(getattr(theirs, name)) for name in HOOKS_OF_A_STEP)


@pytest.mark.parametrize(("further", "kind"), [([], NoProfile), (["+trainer.profiler=simple"], SimpleProfiler)])
def test_the_profiler_that_is_asked_for_wins(further, kind, tmp_path):
    assert type(assembled(tmp_path, *further).trainer.profiler) is kind


def test_a_run_without_a_profiler_sums_nothing_up():
    profiler = NoProfile()
    with profiler.profile("one"), profiler.profile("other"):
        pass
    assert profiler.summary() == ""
    profiler.describe()
