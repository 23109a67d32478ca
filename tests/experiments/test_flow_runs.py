"""A flow from the command line: trained, killed and resumed, measured, drawn from, and what is refused."""

import json

import pytest
import torch

import tiny
from genexp.callbacks.cadence import StopAfter
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose

FLOW = [
    "experiment=realnvp/digits",
    "model.density.transform.block.network.width=4",
    "model.density.transform.depth=1",
    "model.density.transform.checkerboard=1",
    *tiny.COMMON,
    *tiny.LENGTH,
    "data.limit=100",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tiny.run([*FLOW, "model.num_classes=10", f"paths.outputs={tmp_path_factory.mktemp('flow')}"])


def test_training_measures_a_bound_in_bits_and_judges_by_it(trained):
    rows = [row for row in trained.history() if "bits_per_dim" in row]
    assert rows[-1]["bits_per_dim"] < rows[0]["bits_per_dim"] < 6
    protocol = tiny.checkpoint(trained)["callbacks"]["Evaluate"]["protocols"]["nll"]
    assert protocol["settings"] == "LogLikelihood(split='val'): 17 levels, bound"
    assert all(value for name, value in tiny.checkpoint(trained)["state_dict"].items() if name.endswith("initialised"))


def test_genexp_sample_draws_at_a_temperature_and_along_arcs(trained, tmp_path):
    options = [f"run={trained.path}", "num=6", "threads=1", "interpolate=3", "rows=1", "++sampler.temperature=0.5"]
    sample(compose("sample", [*options, f"out={tmp_path / 'drawn'}"]))
    made = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert {"grid.png", "interpolation.png", "images"} <= made
    assert json.loads((tmp_path / "drawn/sample.json").read_text())["sampler"]["temperature"] == 0.5


def test_genexp_evaluate_measures_a_likelihood_that_the_metric_calls_a_bound(trained, capsys):
    evaluate(compose("evaluate", [f"run={trained.path}", "metrics=likelihood", "wandb=false", "threads=1"]))
    assert "bits_per_dim" in capsys.readouterr().out


@pytest.mark.parametrize("extra", [[], ["training.accumulate=3"]], ids=["whole", "accumulated"])
def test_a_run_that_was_killed_after_its_norms_were_set_goes_on_as_if_not(extra, tmp_path, monkeypatch):
    overrides = [*FLOW, *extra, "training.max_images=128", "training.evaluate_every=64", "metrics=none"]
    straight = tiny.run([*overrides, f"paths.outputs={tmp_path / 'straight'}"])
    original, killed = StopAfter.on_train_batch_end, []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        if pl_module.batches == 3 and not killed:
            killed.append(True)
            raise RuntimeError("killed")
        original(self, trainer, pl_module, *rest)

    monkeypatch.setattr(StopAfter, "on_train_batch_end", on_train_batch_end)
    again = [*overrides, "training.checkpoint_every=64", f"paths.outputs={tmp_path / 'again'}", "resume=auto"]
    with pytest.raises(RuntimeError, match="killed"):
        tiny.run(again)
    expected, got = tiny.checkpoint(straight), tiny.checkpoint(tiny.run(again))
    for part in ("state_dict", "averaged", "optimizer_states", "counters"):
        assert tiny.differences(expected[part], got[part], part) == []


def norms(trainer, tmp_path):
    """What the first batch of a run sets, with nothing learned beside it."""
    few = [*FLOW, "training.max_images=32", "training.evaluate_every=32", "metrics=none", "model.optimizer.lr=0"]
    state = tiny.checkpoint(tiny.run([*few, *trainer, f"paths.outputs={tmp_path}"]))["state_dict"]
    found = {name: value for name, value in state.items() if name.endswith(("shift", "log_scale"))}
    assert len(found) > 4
    assert max(value.abs().max() for value in found.values()) > 0.1
    return found


def test_a_batch_that_is_split_sets_the_norms_as_a_whole(tmp_path):
    assert not tiny.differences(norms([], tmp_path / "1"), norms(["training.accumulate=4"], tmp_path / "4"))


@pytest.mark.slow
@pytest.mark.xdist_group("distributed")
def test_two_processes_set_the_norms_from_the_batch_of_both(tmp_path):
    one = norms([], tmp_path / "one")
    two = norms(["trainer=ddp_cpu", "trainer.precision=32-true"], tmp_path / "two")
    for name, value in one.items():  # the images are the same, the noise within levels is another one
        torch.testing.assert_close(two[name], value, rtol=0, atol=0.2)


REFUSED = {
    "data.image_size=6 model.density.transform.scales=4": "for 3 squeezes (scales=4), got 6 x 6 of data.shape",
    "sampler=ancestral": "Ancestral draws from an Autoregressive, got NormalizingFlow; these fit: latent",
    "model/density/dequantisation=none": "model.density.dequantisation: must be uniform or variational",
    "model/density/dequantisation=[uniform,variational]": "must be one choice, got uniform and variational",
    "model.density.levels=null": "model.density.dequantisation: must be none where levels is null",
    "sampler.temperature=0": "sampler.temperature: must be positive or null, got 0",
    "data=toy2d": "model.density.levels: must be null for points, got 17",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line_before_training(typed, tmp_path):
    with pytest.raises(ValueError) as refusal:
        tiny.run([*FLOW, *typed.split(), f"paths.outputs={tmp_path}"])
    assert REFUSED[typed] in str(refusal.value)
    assert not list(tmp_path.iterdir())
