"""What a user types for several averages: trained, killed, resumed, chosen, drawn from, refused."""

import sys

import pytest
import torch

import tiny
from dying import KILLED, dies
from genexp.__main__ import main
from genexp.inference.run import load_run

OVERRIDES = [
    *tiny.overrides_for("gan"),
    "callbacks/post_hoc=power",
    "callbacks.post_hoc.every=64",
    "callbacks.averaging.half_life=[50,400]",
    "callbacks.averaging.ramp_up=null",
    "metrics=none",
]


def files(folder):
    return {path.name: path.read_bytes() for path in (folder.path / "averages").iterdir()}


def genexp(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
    return main()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        assert genexp(patch, "train", *OVERRIDES, f"paths.outputs={outputs}") == 0
    return tiny.newest(outputs)


def test_a_kill_between_a_snapshot_and_its_checkpoint_leaves_the_bytes_of_the_run_that_went_on(straight, tmp_path):
    overrides = [*OVERRIDES, f"paths.outputs={tmp_path}"]
    dies(overrides, "before last.ckpt", 2, KILLED)
    assert len(files(tiny.newest(tmp_path))) > len(tiny.checkpoint(tiny.newest(tmp_path))["post_hoc"]["snapshots"])
    resumed = tiny.run([*overrides, "resume=auto"])
    assert files(resumed) == files(straight)
    assert len(files(resumed)) == 5
    for part in ("averaged", "post_hoc", "state_dict"):
        assert tiny.differences(tiny.checkpoint(straight)[part], tiny.checkpoint(resumed)[part], part) == []


def test_every_average_of_a_run_is_loaded_by_its_name(straight, tmp_path):
    stored = tiny.checkpoint(straight)
    wanted = {
        "averaged": stored["averaged"]["modules"],
        "averaged@50": stored["averaged"]["modules"],
        "averaged@4e2": stored["averaged"]["others"][0]["modules"],
        "post_hoc@0.1": stored["post_hoc"]["averages"][1]["modules"],
    }
    for weights, averages in wanted.items():
        generator = load_run(straight.path, weights, "last").model.generator.state_dict()
        for name, value in averages["generator"].items():
            assert torch.equal(generator[name], value), (weights, name)
    alone = tiny.run([*OVERRIDES, "callbacks.post_hoc.widths=[0.08]", f"paths.outputs={tmp_path}"])
    found = load_run(straight.path, "post_hoc@0.08", "last").model.generator.state_dict()
    raw = load_run(straight.path, "raw", "last").model.generator.state_dict()
    for name, value in tiny.checkpoint(alone)["post_hoc"]["averages"][0]["modules"]["generator"].items():
        moved = (value - raw[name]).norm()
        assert (found[name] - value).norm() <= 0.2 * moved + 1e-7, name
    assert all(torch.equal(found[name], raw[name]) for name in raw if "running" in name)


def test_what_is_drawn_says_which_average_it_is_of(straight, monkeypatch, capsys):
    assert genexp(monkeypatch, "sample", f"run={straight.path}", "weights=post_hoc@.080", "num=2", "interpolate=0") == 0
    assert "post_hoc@0.08, its profile made up of 6 moments to" in capsys.readouterr().err
    assert len(list(straight.samples.glob("seed0_*post_hoc@0.08/grid.png"))) == 1
    chosen = "weights=[averaged@50,averaged@400,post_hoc@0.08]"
    measure = [f"run={straight.path}", chosen, "num=8", "extractor=random", "pictures=0", "grid=0", "checkpoint=last"]
    assert genexp(monkeypatch, "evaluate", *measure, "metrics=fd") == 0
    said = capsys.readouterr().out
    for weights in ("averaged@50", "averaged@400", "post_hoc@0.08"):
        assert f"{weights} weights" in said


@pytest.mark.slow
def test_widths_that_were_not_followed_from_the_beginning_are_refused(straight, monkeypatch, capsys):
    change = ["training.max_images=640", "callbacks.post_hoc.widths=[0.05,0.2]"]
    with pytest.raises(SystemExit):
        genexp(monkeypatch, "train", f"resume={straight.path}", *change)
    assert "power-function averages are over all of training" in capsys.readouterr().err
