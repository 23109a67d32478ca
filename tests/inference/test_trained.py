"""A finished run as a part of another: a guide, named by its run and the digest of its weights."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import genexp
from genexp.__main__ import main
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.inference.trained import TrainedDenoiser
from genexp.training.settle import settled

STORED = Path(__file__).parents[1] / "earlier_runs"


def test_it_denoises_as_the_run_does_and_knows_where_it_comes_from():
    guide, run = TrainedDenoiser(str(STORED / "toy"), "raw"), genexp.load_run(STORED / "toy", "raw")
    x_t, t = torch.randn(4, 2), torch.tensor([1, 10, 500, 1000])
    assert torch.equal(guide(x_t, t), run.model.source()(x_t, t))
    assert (guide.image_shape, guide.conditioning.names, guide.schedule.last) == ((2,), (), 1000)
    assert (guide.run, guide.weights, guide.checkpoint) == (run.folder.record["id"], "raw", "best.ckpt")
    with pytest.raises(ValueError, match=r"run must be of a diffusion model, got .*vae of VAE"):
        TrainedDenoiser(str(STORED / "vae"))


def test_a_run_is_guided_by_another(tmp_path, monkeypatch, capsys):
    """At scale 1 the guide changes nothing; beyond, images are others, and their record and folder say by what."""
    shutil.copytree(STORED / "toy", tmp_path / "toy")
    shutil.copytree(STORED / "toy", tmp_path / "guide")
    monkeypatch.chdir(tmp_path)
    given = ["sampler/guidance=autoguidance", "sampler.guidance.guide.run=guide", "sampler.guidance.guide.weights=raw"]

    def drawn(name, *typed):
        monkeypatch.setattr(sys, "argv", ["genexp", "sample", "run=toy", "num=3", f"out={name}", *typed])
        main()
        return (tmp_path / name / "points.csv").read_text()

    plain = drawn("plain")
    assert drawn("same", *given, "sampler.guidance.scale=1") == plain
    assert drawn("guided", *given) != plain
    record = json.loads((tmp_path / "guided" / "sample.json").read_text())
    assert record["sampler"]["guidance"]["guide"]["run"] == str(tmp_path / "guide")


def test_the_guide_is_asked_for():
    typed = ["sampler/guidance=autoguidance"]
    assert problems_of("train", typed) == []
    (told,) = problems_of("train", typed, here=True)
    assert told == "sampler.guidance.guide.run: must be given"


def test_the_run_of_a_guide_is_recorded_with_its_whole_path(tmp_path, monkeypatch):
    shutil.copytree(STORED / "toy", tmp_path / "guide")
    monkeypatch.chdir(tmp_path)
    typed = ["experiment=toy/diffusion_ring8", "sampler/guidance=autoguidance", "sampler.guidance.guide.run=guide"]
    plain = settled(compose("train", [*typed, "paths.outputs=here", "paths.cache=kept"]))
    places = [plain["sampler"], plain["callbacks"]["evaluate"]["sampler"], plain["callbacks"]["sample_grid"]["sampler"]]
    assert [each["guidance"]["guide"]["run"] for each in places] == [str(tmp_path / "guide")] * 3
    assert plain["paths"]["outputs"] == str(tmp_path / "here")
    assert plain["callbacks"]["evaluate"]["cache"] == str(tmp_path / "kept/statistics")
