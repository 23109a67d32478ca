"""The mean of several runs' weights: what it is equal to, what a protocol says of it, and what is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

import genexp
import tiny
from genexp.commands import validate
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.inference.run import Run
from genexp.inference.soup import Soup, soup_of
from genexp.runs.picture_origin import read_claim

STORED = Path(__file__).parents[1] / "earlier_runs"
OPTIONS = ["metrics=vendi", "floor=null", "pictures=0", "wandb=false", "cache=null", "num=20", "threads=1"]


def of(runs, asked="uniform"):
    return soup_of(OmegaConf.create({"soup": asked, "weights": "averaged"}), runs)


def made_of(modules, shares):
    """A soup of modules, whatever runs they might be of."""
    runs = tuple(SimpleNamespace(model=each.requires_grad_(False)) for each in modules)
    return Soup(None, "averaged", Path("none"), runs=runs, shares=tuple(shares)).model


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_soup_of_one_run_is_that_run_bit_for_bit(count):
    run = genexp.load_run(STORED / "gan")
    soup = of([run] * count)
    assert tiny.differences(dict(soup.model.state_dict()), dict(run.model.state_dict())) == []
    assert torch.equal(soup.samples(8, seed=3), run.samples(8, seed=3))
    assert soup.digest != run.digest


def test_the_soup_of_linear_networks_is_the_ensemble_of_their_outputs():
    torch.manual_seed(0)
    networks, x = [nn.Linear(5, 3).double() for _ in range(3)], torch.randn(7, 5, dtype=torch.float64)
    expected = sum(share / 10 * network(x) for share, network in zip((1, 2, 7), networks, strict=True))
    torch.testing.assert_close(made_of(networks, (1, 2, 7))(x), expected)
    assert torch.equal(made_of(networks, (3, 6, 21)).weight, made_of(networks, (1, 2, 7)).weight)


def test_running_statistics_are_averaged_and_counts_are_those_of_the_first():
    one, two = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    two.running_mean.fill_(4.0)
    two.running_var.fill_(9.0)
    two.num_batches_tracked.fill_(5)
    soup = made_of([one, two], (3, 1))
    assert soup.running_mean.tolist() == [1.0, 1.0]
    assert soup.running_var.tolist() == [3.0, 3.0]
    assert soup.num_batches_tracked == 0
    assert one.running_mean.tolist() == [0.0, 0.0]  # the runs stay as they are


def copies(tmp_path):
    for name in ("one", "other"):
        shutil.copytree(STORED / "vae", tmp_path / name)
    return f"run=[{tmp_path}/one,{tmp_path}/other]"


def test_an_evaluation_names_runs_shares_and_digests_and_is_kept_in_neither_run(tmp_path):
    run = copies(tmp_path)
    evaluate(compose("evaluate", [run, "soup=[3,1]", *OPTIONS, f"out={tmp_path}/measured"]))
    evaluate(compose("evaluate", [f"run={tmp_path}/one", *OPTIONS, f"out={tmp_path}/alone"]))
    kept = (tmp_path / "one" / "evaluations.jsonl").read_text()
    files = ("measured/metrics.json", "alone/averaged/metrics.json")
    result, alone = (json.loads((tmp_path / each).read_text()) for each in files)
    loaded = genexp.load_run(tmp_path / "one")
    name = f"{loaded.folder.record['id']}@{loaded.digest[:12]}"
    (value,), (own,) = result["values"].values(), alone["values"].values()
    assert value["protocol"]["weights"] == f"averaged, mean of 0.75 {name} + 0.25 {name}"
    assert result["runs"] == [loaded.folder.record["id"]] * 2
    assert value["value"] == own["value"]  # of one run twice
    assert "vendi" in kept  # of the run alone
    assert "mean of" not in kept


def test_pictures_of_a_soup_say_which_runs_they_are_of(tmp_path):
    run = copies(tmp_path)
    sample(compose("sample", [run, "soup=uniform", "num=2", "threads=1"]))
    sample(compose("sample", [run, "soup=[1,3]", "num=2", "threads=1"]))
    one, other = sorted((tmp_path / "one" / "samples").glob("soup-*"))
    record = json.loads((one / "sample.json").read_text())
    assert len(record["runs"]) == 2
    assert "mean of 0.5 " in record["weights"] + json.loads((other / "sample.json").read_text())["weights"]
    with Image.open(next((one / "images").glob("*.png"))) as picture:
        claim = read_claim(picture.text["genexp"])
    assert [name for name, _ in claim.rows].count("run") == 2


def test_runs_of_other_networks_are_refused_with_all_that_differs(tmp_path, capsys):
    short = [*tiny.overrides_for("vae"), "training.max_images=32", "training.evaluate_every=32", "metrics=none"]
    base = tiny.run([*short, f"paths.outputs={tmp_path}/a"])
    wide = tiny.run([*short, "model.latent_size=5", f"paths.outputs={tmp_path}/b"])
    other = tiny.run([*short, "model/reconstruction=gaussian", f"paths.outputs={tmp_path}/c"])
    runs = [genexp.load_run(each.path) for each in (base, wide, other)]
    with pytest.raises(ValueError, match=r"of one network with soup, got .* with decoder\.\S+ .*encoder\.\S+ "):
        of(runs[:2])
    with pytest.raises(ValueError, match=r"with model\.reconstruction\._target_ \S+Bernoulli and \S+Gaussian"):
        of(runs[::2])
    assert validate.main(["sample", f"run=[{base.path},{base.path}]", "soup=[1,2]"]) == 0
    assert validate.main(["evaluate", f"run=[{base.path},{wide.path}]", "soup=uniform"]) == 1
    assert "of one network with soup" in capsys.readouterr().out


REFUSED = {
    "soup=[1]": "soup: must be uniform or a list of numbers above 0, 2 at least or null, got",
    "soup=[1,1,1]": "soup must have a number for each of two runs or more, got 3 of 2",
    "soup=uniform shares=[1,1]": r"shares must be null with soup, got \[1, 1\]",
    "soup=uniform weights=averaged+int8_dynamic": "weights must be one choice, as it was trained, with soup, got",
    "soup=uniform wandb=true": "wandb must be false with soup",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_no_soup_is_refused(typed):
    given = [f"run=[{STORED / 'vae'},{STORED / 'vae'}]", "threads=1", *typed.split()]
    with pytest.raises(ValueError, match=REFUSED[typed]):
        sample(compose("sample", given))


def test_a_run_alone_is_its_own_member():
    run = genexp.load_run(STORED / "vae")
    assert run.members == (run,)
    assert isinstance(run, Run)
