"""genexp export fingerprint=<key>, and genexp info <file> fingerprint=<key>, which finds it again."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tiny
from genexp.commands import info
from genexp.commands.export import export
from genexp.config.compose import compose
from genexp.config.keys import of_the_own
from genexp.inference.fingerprints import AIM, FALSE_POSITIVES, agreement, chance, fingerprinted
from genexp.inference.run import load_run

SHORT = ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64", "metrics=none"]
FILE = "ours/model.safetensors"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny.run([*tiny.overrides_for("gan"), *SHORT, f"paths.outputs={tmp_path_factory.mktemp('runs')}"])


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def exported(run, *typed):
    export(compose("export", of_the_own([f"run={run.path}", "out=ours", "threads=1", *typed])))


def said(capsys, *asked):
    capsys.readouterr()
    assert info.main([FILE, *asked]) == 0
    return re.sub(" {2,}", "  ", capsys.readouterr().out)


def test_an_exported_generator_has_the_fingerprint_of_its_receiver_alone(run, capsys):
    exported(run, "format=safetensors", "fingerprint=to Ann")
    out = said(capsys, "fingerprint=to Ann")
    assert "fingerprint  of this key: at most one in " in out
    assert run.record["id"] in out
    assert "fingerprinted  the weights have the fingerprint of a key" in out
    assert "| fingerprinted | the weights have" in Path("ours/README.md").read_text()
    assert "fingerprint  no fingerprint of this key" in said(capsys, "fingerprint=to Bob")
    assert all("Ann" not in path.read_text(errors="replace") for path in Path("ours").iterdir())
    plain, weights = load_run(run.path).model.state_dict(), load_file(FILE)
    for name, weight in weights.items():
        moved = weight - plain[name]
        assert (weight.dim() > 1) == bool(moved.abs().max() > 0)
        assert weight.dim() < 2 or moved.abs().max() < 0.3 * plain[name].pow(2).mean().sqrt()
    exported(run, "format=safetensors")
    assert "no fingerprint of this key" in (plainly := said(capsys, "fingerprint=to Ann"))
    assert "fingerprinted" not in plainly


def test_it_is_found_after_rounding_noise_and_further_training():
    draw = torch.Generator().manual_seed(0)
    weights = {f"generator.{i}.weight": torch.randn(64, 32, 3, 3, generator=draw) for i in range(4)}
    marked = fingerprinted(weights, "k")
    assert agreement(marked, "k") == pytest.approx(AIM, abs=0.5)
    noise = {name: weight + 0.3 * torch.randn(weight.shape, generator=draw) for name, weight in marked.items()}
    halved = {name: weight.half() for name, weight in marked.items()}
    for changed in (noise, halved):
        assert chance(agreement(changed, "k")) < FALSE_POSITIVES
    assert all(chance(agreement(weights, f"key {i}")) > 1e-4 for i in range(200))
    assert sum(chance(agreement(weights, f"key {i}")) < 0.01 for i in range(1000)) <= 10  # of the bound, 10


def test_a_small_part_of_a_model_has_it_by_itself():
    draw = torch.Generator().manual_seed(1)
    weights = {
        "critic.weight": torch.randn(400, 400, generator=draw),
        "decoder.weight": torch.randn(30, 30, generator=draw),
    }
    small = {"decoder.weight": fingerprinted(weights, "k")["decoder.weight"]}
    assert chance(agreement(small, "k")) < FALSE_POSITIVES


def test_what_cannot_have_or_be_asked_is_told(run, capsys):
    with pytest.raises(ValueError, match="fingerprint must be null for format=onnx: it is looked for in safetensors"):
        exported(run, "format=onnx", "fingerprint=k")
    with pytest.raises(ValueError, match="fingerprint needs weights with matrices or kernels, got none"):
        fingerprinted({"a.bias": torch.zeros(3)}, "k")
    for asked in (["watermark=k"], ["fingerprint="], ["fingerprint=a", "fingerprint=b"]):
        assert info.main(["x.safetensors", *asked]) == 2
        assert "what is asked of weights must be fingerprint=<key>" in capsys.readouterr().err
    assert info.main(["x.safetensors"]) == 1
    assert capsys.readouterr().err == "genexp info: a file of weights must be there, got x.safetensors\n"
    Path("x.safetensors").write_bytes(b"no header")
    assert info.main(["x.safetensors"]) == 1
    assert capsys.readouterr().err.startswith("genexp info: cannot use x.safetensors: ")
    save_file({"a": torch.zeros(2, 2)}, "x.safetensors", {"genexp": json.dumps({"run": "a\x1b[31m\nweights  b"})})
    assert info.main(["x.safetensors", "fingerprint=k"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3
    with safe_open("x.safetensors", "pt") as file:
        assert list(file.keys()) == ["a"]
