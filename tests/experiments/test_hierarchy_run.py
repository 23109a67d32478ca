"""A hierarchy from the command line: trained by all that it has, killed and gone on with, measured by layers, drawn."""

import json

import pytest

import tiny
from genexp import load_run
from genexp.callbacks.cadence import StopAfter
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose

NVAE = [
    *("experiment=nvae/digits", "model.ladder.width=8", "model.ladder.groups=[1,1]", "model.ladder.latents=2"),
    *("model.beta.images=200", *tiny.COMMON, *tiny.LENGTH, "data.limit=100"),
]


class Killed(RuntimeError):
    """Stands for a process that is gone."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tiny.run([*NVAE, f"paths.outputs={tmp_path_factory.mktemp('hierarchy')}"])


def test_a_run_that_was_killed_goes_on_bit_for_bit(trained, tmp_path, monkeypatch):
    original = StopAfter.on_train_batch_end

    def dies(self, trainer, pl_module, *rest):
        if pl_module.batches == 5:
            raise Killed
        original(self, trainer, pl_module, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(StopAfter, "on_train_batch_end", dies)
        with pytest.raises(Killed):
            tiny.run([*NVAE, f"paths.outputs={tmp_path}"])
    resumed = tiny.run([*NVAE, f"paths.outputs={tmp_path}", "resume=auto"])
    for part in ("state_dict", "averaged", "optimizer_states", "counters"):
        assert tiny.differences(tiny.checkpoint(trained)[part], tiny.checkpoint(resumed)[part], part) == []


def test_layers_are_logged_and_measured_and_images_drawn_at_a_temperature(trained):
    last = {key: value for row in trained.history() for key, value in row.items()}
    assert last["val/kl"] == pytest.approx(last["val/kl_layer_0"] + last["val/kl_layer_1"], rel=1e-5)
    assert last["nll"] == pytest.approx(last["rate"] + last["distortion"], rel=1e-5)
    assert {"train/spectral", "train/beta"} <= set(last)
    assert {path.stem.partition("_")[0] for path in (trained.path / "samples").glob("*.png")} >= {
        "reconstruction",
        "temperature",
    }
    metrics = "metrics=[importance_likelihood,rate_distortion,linear_probe]"
    evaluate(
        compose(
            "evaluate",
            [f"run={trained.path}", metrics, "metrics.importance_likelihood.samples=20", "threads=1"],
        )
    )
    values = json.loads(next((trained.path / "evaluations").glob("*/metrics.json")).read_text())["values"]
    rate = values["rate"]
    assert rate["value"] == pytest.approx(sum(rate["details"][f"rate_{layer}"] for layer in range(2)))
    assert values["importance_nll"]["value"] < rate["value"] + values["distortion"]["value"]
    sample(compose("sample", [f"run={trained.path}", "num=2", "+sampler.temperature=0.7", "threads=1"]))
    run = load_run(trained.path)
    assert run.model.latent_shape == (2 * 4 * 4 + 2 * 8 * 8,)
    assert tuple(run.samples(2).shape) == (2, 1, 8, 8)
