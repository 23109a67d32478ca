"""genexp reproduce from the file to the table: what is shared, what is missing, and what is not repeated."""

import json
import os
import subprocess

import pytest
import yaml
from omegaconf import OmegaConf

import forking
from genexp.ablations.finding import named
from genexp.ablations.plan import make_plan
from genexp.ablations.spec import read_ablation
from genexp.commands.reproduce import _require_own, _with_seeds

CONTENT = {
    "title": "Which weights to draw with",
    "paper": {"title": "A paper", "authors": "A, B", "year": 2021, "table": "Table 1"},
    "experiment": "vae/digits",
    "overrides": [
        "logger=none",
        "metrics=none",
        "trainer=cpu",
        "data.batch_size=32",
        "data.limit=100",
        "training.max_images=320",
        "training.evaluate_every=320",
        "training.checkpoint_every=320",
    ],
    "variants": {
        "lr": {"low": ["model.optimizer.lr=1e-4"], "high": ["model.optimizer.lr=1e-3"]},
        "weights": {"averaged": ["weights=averaged"], "raw": ["weights=raw"]},
    },
    "evaluate": ["metrics=[fd]", "num=96"],
    "metrics": ["fd", "val/kl"],
    "reported": [{"name": "FID", "source": "Table 1", "protocol": "faces", "values": {"lr=low,weights=raw": 9.25}}],
    "claims": [{"claim": "fd < 1000000", "source": "anything is"}, {"claim": "fd[lr=low] < 0", "source": "nothing is"}],
    "scales": {"cpu": {"seeds": [0, 1]}},
}
DIVERGES = {"explodes": ["model.optimizer.lr=1e30"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("reproduce")


def reproduce(place, *arguments, **changes):
    (place / "weights.yaml").write_text(yaml.safe_dump({**CONTENT, **changes}))
    command = [*forking.genexp(), "reproduce", "ablation=weights.yaml", "calibrate=false", *arguments]
    environment = {**os.environ, "GENEXP_OUTPUTS": str(place / "outputs")}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def first(place):
    """A run in which one variant cannot be trained and one diverges."""
    (place / "pictures" / "train").mkdir(parents=True)
    (place / "pictures" / "train" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")  # found when it is read
    fails = {"missing": ["data=folder", f"data.source.root={place / 'pictures'}"]}
    variants = {**CONTENT["variants"], "lr": {**CONTENT["variants"]["lr"], **DIVERGES, **fails}}
    return reproduce(place, "paths.data=elsewhere", f"paths.cache={place / 'kept'}", variants=variants)


@pytest.fixture(scope="module")
def second(place, first):
    """The same command with the file put right."""
    return reproduce(place, f"publish={place / 'results'}")


@pytest.fixture(scope="module")
def folder(place, second):
    return place / "outputs/ablations/weights/cpu"


def test_a_training_that_fails_is_named_and_the_others_go_on(first):
    status, out, err = first
    assert status == 1
    assert err.count("finished ") == 4 + 8
    assert "Traceback" not in err
    assert "genexp reproduce: 4 parts are missing: lr=missing,weights=averaged seed=0: not trained (failed)" in err
    assert "lr=explodes" not in err.split("parts are missing")[1]
    assert "lr=explodes,weights=raw seed=1: training diverged" in out
    assert "9.25" in out


def test_a_trial_that_fails_leaves_its_log_and_says_where(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    broken = {"lr": {"missing": ["data=folder", f"data.source.root={tmp_path}"]}}
    status, _, err = reproduce(tmp_path, "calibrate=true", "plan=true", variants=broken, reported=[], claims=[])
    assert status == 1
    line = err.splitlines()[-1]
    assert line.startswith("genexp reproduce: a trial training must succeed before an ablation starts, and outputs/")
    assert "got 1 in" in (tmp_path / line.partition(", and ")[2].split(" says ")[0]).read_text()
    assert sum(each.strip().startswith("genexp train: ") for each in err.splitlines()) == 1


def test_a_plan_without_trials_leaves_nothing(tmp_path):
    (tmp_path / "outputs").mkdir()
    status, _, err = reproduce(tmp_path, "plan=true")
    assert status == 0, err
    assert "trainings 4, 0 done" in err
    assert list((tmp_path / "outputs").iterdir()) == []


def test_nothing_that_is_finished_is_run_again(second, first):
    status, _, err = second
    assert status == 0, err
    assert "trainings 4, 4 done" in err
    assert "started" not in err


def test_where_data_lie_is_told_to_every_run(place, folder):
    configs = [OmegaConf.load(path) for path in sorted(folder.glob("*/*/config.yaml"))]
    told = [(str(each.paths.data), str(each.paths.cache)) for each in configs]
    assert told
    assert set(told) == {(str(place / "elsewhere"), str(place / "kept"))}


def test_variants_that_draw_differently_share_a_model(folder, second):
    jobs = json.loads((folder / "runs/sweep.json").read_text())["jobs"]
    assert sum(job["state"] == "finished" for job in jobs) == 4
    drawn = json.loads((folder / "measurements/sweep.json").read_text())["jobs"]
    runs = {next(each for each in job["overrides"] if each.startswith("run=")) for job in drawn}
    assert len(drawn) == 8
    assert len(runs) == 4


def test_the_table_keeps_reported_numbers_apart_and_names_protocols(folder, second):
    text = (folder / "table.md").read_text()
    assert "9.25" in text
    assert "faces" in text
    assert "command: genexp reproduce ablation=weights.yaml scale=cpu\n" in text
    assert "digits_classifier" in text
    verdicts = [each["verdict"] for each in json.loads((folder / "claims.json").read_text())["claims"]]
    assert verdicts == ["holds", "fails"]
    assert len(list((folder / "samples").glob("*.png"))) == 4


def test_results_are_published_with_an_index(place, second):
    assert (place / "results/weights/table.md").is_file()
    assert "weights/table.md" in (place / "results/README.md").read_text()


def test_the_status_is_read_without_running_anything(place, second):
    status, out, err = reproduce(place, "--status")
    assert status == 0, err
    assert out.splitlines()[1].split()[:2] == ["weights", "cpu"]
    assert "4 of 4" in out
    assert "8 of 8" in out
    assert "1 holds, 1 fails" in out


def test_another_file_of_the_same_name_does_not_take_the_folder(folder, second):
    path, other = folder.parents[3] / "weights.yaml", folder.parents[3] / "other/weights.yaml"
    _require_own(folder, named(path.resolve()))
    with pytest.raises(ValueError, match=r"out must be another folder than .*, got .*other"):
        _require_own(folder, named(other))


def test_a_file_that_does_not_compose_takes_no_folder(place, second):
    variants = {**CONTENT["variants"], "lr": {**CONTENT["variants"]["lr"], "low": ["model.no_such_key=1"]}}
    status, _, err = reproduce(place, f"out={place / 'elsewhere'}", variants=variants)
    assert status == 1
    assert "no_such_key" in err
    assert not list((place / "elsewhere").rglob(".source"))


def test_seeds_that_were_typed_stand_in_the_command_and_differ(place, second):
    ablation = _with_seeds(read_ablation(place / "weights.yaml", "cpu"), OmegaConf.create([3, 1]))
    assert ablation.seeds == [3, 1]
    assert make_plan(ablation, []).command.endswith("weights.yaml scale=cpu seeds=[3,1]")
    with pytest.raises(ValueError, match=r"seeds must differ, got \[0, 0\]"):
        _with_seeds(ablation, [0, 0])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A model of each seed, and others that go on from it; `broken` needs one that cannot be trained."""
    place = tmp_path_factory.mktemp("tuned")
    (place / "pictures" / "train").mkdir(parents=True)
    (place / "pictures" / "train" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    guides = {"base": [], "cut": ["data=folder", f"data.source.root={place / 'pictures'}"]}
    of = {name: ["initial=run", f"initial.run={{{name}}}", "training.max_images=64"] for name in guides}
    changes = {"variants": {"model": {"base": [], "tuned": of["base"], "broken": of["cut"]}}, "guides": guides}
    changes |= {"reported": [], "claims": []}
    planned = reproduce(place, "plan=true", **changes)
    return place, planned, reproduce(place, **changes), reproduce(place, **changes)


def test_a_plan_says_which_trainings_wait_for_which(tuned):
    status, _, err = tuned[1]
    assert status == 0, err
    lines = [line.split(maxsplit=1)[1] for line in err.splitlines() if line.startswith("order ")]
    assert lines == ["1. model=base, cut", "2. model=broken (needs cut), model=tuned (needs base)"]


def test_trainings_begin_with_the_run_of_their_seed_and_its_digest_is_recorded(tuned):
    place, _, (status, out, err), _ = tuned
    assert status == 1
    assert "model=broken seed=1: not trained (it needs cut, which is not)" in err
    assert "| tuned" in out
    runs = place / "outputs/ablations/weights/cpu/runs"
    jobs = [job for job in json.loads((runs / "sweep.json").read_text())["jobs"] if job["state"] == "finished"]
    begun = {job["folder"]: OmegaConf.load(runs / job["folder"] / "config.yaml") for job in jobs}
    tuned_runs = [config for config in begun.values() if "initial" in config]
    assert [config.seed for config in tuned_runs] == [0, 1]
    for config in tuned_runs:
        model = begun[config.initial.run.rpartition("/")[2]]
        assert (model.seed, "initial" in model, model.training.max_images) == (config.seed, False, 320)
        assert len(config.initial.digest) == 12
    assert len({config.initial.digest for config in tuned_runs}) == 2


def test_what_began_with_another_model_is_not_trained_again(tuned):
    _, _, _, (status, _, err) = tuned
    assert status == 1
    assert "trainings 8, 4 done" in err
    assert [line for line in err.splitlines() if line.startswith("started") and "cut" not in line] == []
