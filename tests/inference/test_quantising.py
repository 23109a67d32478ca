"""Weights in 8 bits: linear layers alone, within half a step of each row, measured under their own name."""

import json

import pytest
import torch
from torch import nn

import tiny
from genexp import extras
from genexp.commands.evaluate import evaluate
from genexp.config.compose import compose
from genexp.config.weights_choice import WeightsChoice
from genexp.inference.quantising import quantised
from genexp.inference.run import load_run

SHORT = ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny.run([*tiny.overrides_for("vae"), *SHORT, f"paths.outputs={tmp_path_factory.mktemp('runs')}"])


class Part(nn.Module):
    """A family of one part."""

    averaged_modules = ("network",)

    def __init__(self, *layers):
        super().__init__()
        self.network, self.critic = nn.Sequential(*layers), nn.Linear(3, 1)


def test_every_row_of_a_matrix_has_its_own_step():
    layer = nn.Linear(5, 4)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([1.0, 10.0, 100.0, 0.01])[:, None])
    before = layer.weight.detach().clone()
    model = quantised(Part(layer).eval(), "int8_weight_only")
    held = layer.weight.dequantize()
    step = before.abs().amax(1, keepdim=True) / 127
    assert ((held - before).abs() <= step * 0.51).all()
    assert (held != before).any()
    x = torch.randn(7, 5)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, held, layer.bias), rtol=1e-4, atol=1e-4)
    assert type(model.critic.weight) is nn.Parameter  # only training needs it


def test_convolutions_stay():
    convolution = nn.Conv2d(1, 2, 3)
    before = convolution.weight.detach().clone()
    quantised(Part(convolution, nn.Flatten(), nn.Linear(18, 4)).eval(), "int8_dynamic")
    assert torch.equal(convolution.weight, before)
    with pytest.raises(ValueError, match=r"weights must be without \+int8_dynamic for a model without linear layers"):
        quantised(Part(nn.Conv2d(1, 2, 3)).eval(), "int8_dynamic")


@pytest.mark.parametrize("how", ["int8_weight_only", "int8_dynamic"])
def test_a_run_draws_nearly_the_same_images(run, how):
    images, others = (load_run(run.path, weights).samples(8) for weights in ("averaged", f"averaged+{how}"))
    assert 0 < (images - others).abs().max() < 0.1


def test_values_are_told_under_the_name_of_the_weights(run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["genexp"])
    typed = [f"run={run.path}", "num=20", "threads=1", "pictures=0", "grid=0", "wandb=false"]
    evaluate(compose("evaluate", [*typed, "weights=averaged+int8_weight_only"]))
    lines = [json.loads(line) for line in (run.path / "evaluations.jsonl").read_text().splitlines()]
    assert "averaged+int8_weight_only" in json.dumps(lines[-1])
    assert list((run.path / "evaluations").glob("*averaged+int8_weight_only"))


def test_a_choice_is_read_as_it_is_written(monkeypatch, run):
    assert str(WeightsChoice.read("averaged@2e4+int8_dynamic")) == "averaged@20000+int8_dynamic"
    for typed in ("averaged+int4", "averaged+", "+int8_dynamic", "averaged+int8_dynamic+int8_dynamic"):
        with pytest.raises(ValueError, match=r"weights must be one of averaged, .* or \+int8_dynamic, got"):
            WeightsChoice.read(typed)
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"weights=averaged\+int8_dynamic needs the extra 'quantise', which holds torchao"
    ):
        load_run(run.path, "averaged+int8_dynamic")
