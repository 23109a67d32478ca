"""Images as codes from the command line: trained, stopped and gone on with, learned in turn, drawn and measured."""

import json
import math

import pytest
import torch

import tiny
from genexp import load_run
from genexp.callbacks.cadence import StopAfter
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose

NARROW = [
    f"model.{part}.{key}={value}" for part in ("encoder", "decoder") for key, value in (("width", 8), ("depth", 1))
]
VQ = ["experiment=vq_vae/digits", *NARROW, "model.quantiser.codes=16", *tiny.COMMON, *tiny.LENGTH, "data.limit=100"]
PRIOR = [
    *("experiment=vq_prior/digits", "model.density.levels=16", "model.density.network.width=8"),
    *("model.density.network.depth=1", *tiny.COMMON, *tiny.LENGTH, "data.limit=100"),
]


@pytest.fixture(scope="module")
def tokeniser(tmp_path_factory):
    return tiny.run([*VQ, f"paths.outputs={tmp_path_factory.mktemp('tokens')}"])


class Killed(RuntimeError):
    """Stands for a process that is gone."""


def test_a_run_that_was_killed_goes_on_bit_for_bit(tokeniser, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(StopAfter, "on_train_batch_end", dies_after(5, StopAfter.on_train_batch_end))
        with pytest.raises(Killed):
            tiny.run([*VQ, f"paths.outputs={tmp_path}"])
    resumed = tiny.run([*VQ, f"paths.outputs={tmp_path}", "resume=auto"])
    ends = [tiny.checkpoint(each) for each in (tokeniser, resumed)]
    for part in ("state_dict", "optimizer_states", "counters"):
        assert tiny.differences(ends[0][part], ends[1][part], part) == []
    assert float(ends[0]["state_dict"]["quantiser.count"].sum()) > 0


def dies_after(batch, original):
    def on_train_batch_end(self, trainer, pl_module, *rest):
        if pl_module.batches == batch:
            raise Killed
        original(self, trainer, pl_module, *rest)

    return on_train_batch_end


def test_codes_of_a_run_are_learned_drawn_and_measured_by_another(tokeniser, tmp_path):
    last = {key: value for row in tokeniser.history() for key, value in row.items()}
    assert {"val/perplexity", "val/codes_used", "train/commitment", "train/perplexity", "nll"} <= set(last)
    prior = tiny.run([*PRIOR, f"model.codec.run={tokeniser.path}", f"paths.outputs={tmp_path}"])
    told = {key: value for row in prior.history() for key, value in row.items()}
    assert told["nll"] == pytest.approx(told["rate"] + told["distortion"], rel=1e-5)
    assert last["nll"] == pytest.approx(told["distortion"] + 16 * math.log(16), rel=1e-4)
    protocol = tiny.checkpoint(prior)["callbacks"]["Evaluate"]["protocols"]["nll"]
    assert protocol["settings"] == "LogLikelihood(split='val'): values in [-1, 1], bound"
    sample(compose("sample", [f"run={prior.path}", "num=3", "seed=5", "threads=1"]))
    assert len([*prior.path.glob("samples/*seed5*/*.png"), *prior.path.glob("samples/*/*.png")]) >= 3
    images = load_run(prior.path).samples(3, seed=5)
    assert tuple(images.shape) == (3, 1, 8, 8)
    metrics = "metrics=[likelihood,rate_distortion]"
    evaluate(compose("evaluate", [f"run={prior.path}", metrics, "threads=1"]))
    found = next((prior.path / "evaluations").glob("*/metrics.json"))
    assert {"nll", "rate", "distortion"} <= set(json.loads(found.read_text())["values"])
    assert torch.isfinite(images).all()


def test_a_prior_of_other_codes_and_a_run_without_codes_are_refused(tokeniser, tmp_path):
    with pytest.raises(ValueError, match=r"^model.density.levels: must be the 16 codes of model.codec, got 64"):
        tiny.run([*PRIOR, "model.density.levels=64", f"model.codec.run={tokeniser.path}", f"paths.outputs={tmp_path}"])
    latent = ["experiment=latent/digits", f"model.codec.run={tokeniser.path}", *tiny.COMMON, *tiny.LENGTH]
    with pytest.raises(ValueError, match=r"model.network: must take codes of shape \[32, 4, 4\]"):
        tiny.run([*latent, f"paths.outputs={tmp_path}"])
    with pytest.raises(ValueError, match=r"model.quantiser must have at most 1600 codes"):
        tiny.run([*VQ, "model.quantiser.codes=1601", f"paths.outputs={tmp_path}"])
