"""Several runs as one: who makes which sample, that it is that run's own, what the protocol says, what is refused."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import genexp
from genexp.commands.beforehand import refused_beforehand
from genexp.commands.compare import compare
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.inference.ensemble import Ensemble, members
from genexp.runs.find import find_run_folders
from genexp.runs.stored import read_runs

STORED = Path(__file__).parents[1] / "earlier_runs"


def runs(tmp_path):
    """Two runs of one kind with different weights: a stored one, averaged and raw."""
    shutil.copytree(STORED / "vae", tmp_path / "vae")
    return [genexp.load_run(tmp_path / "vae", weights) for weights in ("averaged", "raw")]


def test_the_choice_of_a_run_depends_on_seed_and_index_alone_and_follows_the_shares():
    every = members(range(20_000), 3, [1.0, 2.0, 5.0])
    assert torch.equal(torch.cat([members(range(i, i + 50), 3, [1.0, 2.0, 5.0]) for i in range(0, 20_000, 50)]), every)
    assert torch.equal(members([7, 1234, 2], 3, [1.0, 2.0, 5.0]), every[[7, 1234, 2]])
    assert not torch.equal(members(range(20_000), 4, [1.0, 2.0, 5.0]), every)
    assert torch.equal(members(range(20_000), 3, [10.0, 20.0, 50.0]), every)
    found = every.bincount(minlength=3) / len(every)
    torch.testing.assert_close(found, torch.tensor([0.125, 0.25, 0.625]), atol=0.012, rtol=0)  # 3.5 standard errors


def test_every_sample_is_the_one_that_its_run_draws_alone(tmp_path):
    both, cpu = runs(tmp_path), torch.device("cpu")
    parts = list(Ensemble(both, [1, 3], None, 40, 5, 16, cpu).batches())
    chosen, images = members(range(40), 5, [1, 3]), torch.cat([each["image"] for each in parts])
    assert {*chosen.tolist()} == {0, 1}
    for i, run in enumerate(both):
        alone = (run.samples(40, seed=5).clamp(-1, 1) + 1) * 127.5
        assert ((images[chosen == i] + 1) * 127.5 - alone[chosen == i]).abs().max() < 0.51  # 8 bits
    assert torch.equal(torch.cat([each["index"] for each in parts]), torch.arange(40))


def test_commands_draw_and_measure_it_and_name_its_runs(tmp_path):
    for name in ("one", "other"):
        shutil.copytree(STORED / "vae", tmp_path / name)
    typed = [f"run=[{tmp_path}/one,{tmp_path}/other]", "shares=[0.7,0.3]", "num=20", "threads=1"]
    sample(compose("sample", [*typed, f"out={tmp_path}/drawn"]))
    record = json.loads((tmp_path / "drawn" / "sample.json").read_text())
    assert record["member"] == members(range(20), 0, [0.7, 0.3]).tolist()
    assert [each["share"] for each in record["members"]] == [0.7, 0.3]
    assert len(list((tmp_path / "drawn" / "images").glob("*.png"))) == 20
    options = ["metrics=vendi", "floor=null", "pictures=0", "wandb=false", f"out={tmp_path}/measured", "cache=null"]
    evaluate(compose("evaluate", [*typed, *options]))
    result = json.loads((tmp_path / "measured" / "metrics.json").read_text())
    digest = genexp.load_run(tmp_path / "one").digest[:12]
    (sampler,) = {each["protocol"]["sampler"] for each in result["values"].values()}
    assert sampler.startswith(f"Ensemble(0.7 of {result['runs'][0]}@{digest} by Latent(")


def test_a_comparison_has_a_row_of_it_with_the_settings_that_all_its_runs_have(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    outputs, names = tmp_path / "outputs", ("one", "other")
    for seed, name in enumerate(names):
        shutil.copytree(STORED / "vae", outputs / name)
        edit(outputs / name / "run.json", id=f"{name:_<8}")
        edit(outputs / name / "config.yaml", seed=seed)
    typed = [f"run=[{outputs}/one,{outputs}/other]", "num=20", "threads=1", "floor=null", "pictures=0", "cache=null"]
    for shares, metrics in (("[3,1]", "vendi"), ("[3,1]", "fd"), ("[6,2]", "fd"), ("[1,1]", "fd")):
        evaluate(compose("evaluate", [*typed, "wandb=false", f"shares={shares}", f"metrics={metrics}"]))
    runs, damaged = read_runs(find_run_folders([str(outputs)]))
    ensembles = {each.settings["ensemble"]: each for each in runs if not each.trained}
    assert sorted(ensembles) == ["0.5 of one_____, 0.5 of other___", "0.75 of one_____, 0.25 of other___"]
    (unequal,) = (each for words, each in ensembles.items() if words.startswith("0.75"))
    assert [row["key"].split("/")[0] for row in unequal.evaluations] == ["vendi", "fd"]  # the same in other numbers
    assert "seed" not in unequal.settings
    assert unequal.settings["data.batch_size"] == runs[-1].settings["data.batch_size"]
    capsys.readouterr()
    compare(compose("compare", [f"runs={outputs}/**", f"out={tmp_path}/compared"]))
    table = (tmp_path / "compared" / "compare.csv").read_text()
    assert not damaged
    assert sum("0.75 of one_____, 0.25 of other___" in row for row in table.splitlines()) == 1
    (outputs / "ensembles" / unequal.id / "ensemble.json").write_text("{}")
    assert [each.path.name for each in read_runs(find_run_folders([str(outputs)]))[1]] == [unequal.id]


def edit(path, **changed):
    """Change entries of a record."""
    content = OmegaConf.to_container(OmegaConf.load(path)) | changed
    path.write_text(json.dumps(content) if path.suffix == ".json" else OmegaConf.to_yaml(content))


def test_other_shares_and_weights_go_to_folders_of_their_own(tmp_path):
    for name in ("one", "other"):
        shutil.copytree(STORED / "vae", tmp_path / name)
    for typed in (["shares=[0.7,0.3]"], ["shares=[1,2]"], ["shares=[1,2]", "weights=raw"]):
        sample(compose("sample", [f"run=[{tmp_path}/one,{tmp_path}/other]", "num=2", "threads=1", *typed]))
    names = sorted(path.name.partition("_shares")[2] for path in (tmp_path / "one" / "samples").glob("ensemble_*"))
    assert names == ["0.7-0.3_seed0_latent_averaged", "1-2_seed0_latent_averaged", "1-2_seed0_latent_raw"]


REFUSED = {
    "shares=[1]": "shares: must be a list of numbers above 0, 2 at least or null, got",
    "shares=[1,0]": "shares: must be a list of numbers above 0, 2 at least",
    "shares=[1,1,1]": "shares must have one number for each of two runs or more, got 3 of 2",
    "shares=null": "run must name runs each of which is told what the one before draws, got no conditions in",
    "toy": r"run must name runs of one shape with shares, got \(1, 8, 8\) and \(2,\)",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_runs_that_are_not_one_are_refused(typed):
    other = STORED / ("toy" if typed == "toy" else "vae")
    given = [f"run=[{STORED / 'vae'},{other}]", "shares=[1,1]" if typed == "toy" else typed, "threads=1"]
    with pytest.raises(ValueError, match=REFUSED[typed]):
        sample(compose("sample", given))
    assert [bool(re.match(REFUSED[typed], line)) for line in refused_by_validate("sample", given)] == [True]


def refused_by_validate(command, typed):
    """What `genexp validate` says of a command, the rules of its keys included."""
    return problems_of(command, typed, True, [], lambda config: refused_beforehand(command, config))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["shares=[1,1,1]", "metrics=fd"], "shares must have one number for each of two runs or more, got 3 of 2"),
        (["shares=[1,1]", "metrics=likelihood"], "metrics"),
        (["shares=[1,1]", "metrics=fd"], None),
    ],
    ids=["three shares", "a metric of a model", "right"],
)
def test_validate_asks_of_an_evaluation_what_the_command_does(typed, line):
    given = [f"run=[{STORED / 'vae'},{STORED / 'vae'}]", "threads=1", "pictures=0", "wandb=false", *typed]
    found = refused_by_validate("evaluate", given)
    assert [each.startswith(line) for each in found] == ([] if line is None else [True])
    if line is not None:
        with pytest.raises(ValueError) as refused:
            evaluate(compose("evaluate", given))
        assert str(refused.value) == found[0]
