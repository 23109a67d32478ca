"""A run in a notebook: its values as a table with their protocols, its curves, and images drawn anew."""

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import genexp
import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.runs.notebook_table import Rows
from genexp.tensors import to_uint8
from recorded import CONFIG

KEY = "fd/digits_classifier@42f2cb7d"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    folder = tiny.run([*tiny.overrides_for("vae"), "model.num_classes=10", f"paths.outputs={outputs}"])
    evaluate(compose("evaluate", [f"run={folder.path}", f"out={outputs / 'out'}", "num=30", "seed=7", "wandb=false"]))
    return genexp.load_run(folder.path)


def test_the_table_has_every_value_with_what_it_was_measured_with(run):
    own, later = (row for row in run.table if row["metric"] == KEY)
    assert own["value"] == run.metrics["values"][KEY]
    assert own["real images"] == run.metrics["values"][KEY.replace("fd/", "fd_floor/")]
    told = ("better", "source", "generated", "reference", "weights", "seed")
    assert [own[name] for name in told] == ["lower", "training", 8, "train", "averaged", 0]
    assert [later[name] for name in told] == ["lower", "evaluate", 30, "train", "averaged", 7]
    (bound,) = (row for row in run.table if row["metric"] == "val/elbo")
    assert (bound["better"], bound["generated"]) == ("higher", None)
    assert not [row for row in run.table if "floor" in row["metric"]]


def test_images_are_those_that_the_command_draws(run, tmp_path):
    sample(compose("sample", [f"run={run.folder.path}", f"out={tmp_path}", "num=4", "seed=3"]))
    drawn = to_uint8(run.samples(4, seed=3))
    assert drawn.shape == (4, 1, 8, 8)
    for image, path in zip(drawn, sorted((tmp_path / "images").glob("*.png")), strict=True):
        with Image.open(path) as stored:
            assert torch.equal(torch.tensor(list(stored.convert("L").tobytes())).view(8, 8), image[0].long())


def test_images_follow_label_and_seed(run):
    sevens = run.samples(2, label=7)
    assert torch.equal(run.samples(8)[7], run.samples(8, label=7)[7])
    assert not torch.equal(sevens, run.samples(2, label=8))
    assert not torch.equal(sevens, run.samples(2, seed=1, label=7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"num": 0}, "num must be at least 1, got 0"), ({"num": 1, "label": 10}, r"label must lie in \[0, 10\), got 10")],
)
def test_what_cannot_be_drawn_is_refused(arguments, message, run):
    with pytest.raises(ValueError, match=message):
        run.samples(**arguments)


def test_a_classifier_draws_nothing(tmp_path):
    shared = ["trainer=cpu", "logger=none", "threads=1", "data.limit=100", "training.max_images=64"]
    folder = tiny.run(["model=classifier", *shared, "training.evaluate_every=64", f"paths.outputs={tmp_path}"])
    with pytest.raises(ValueError, match="run must be of a model that draws images from noise, got Classifier"):
        genexp.load_run(folder.path).samples(1)


def test_the_history_gives_curves(run):
    losses = run.history.having("images_seen", "train/loss")
    assert losses.names == ["images_seen", "train/loss"]
    assert losses.column("images_seen") == [64, 128, 192, 256, 320]
    assert all(isinstance(value, float) for value in losses.column("train/loss"))
    with pytest.raises(KeyError, match="got train/los"):
        run.history.column("train/los")


def test_rows_are_shown_as_a_table():
    rows = Rows([{"metric": "fd <1>", "value": 12.34567}, {"metric": "n", "images": 1000}])
    assert str(rows).splitlines() == ["metric  value  images", "fd <1>  12.35", "n              1,000"]
    assert rows._repr_html_() == (
        "<table><thead><tr><th>metric</th><th>value</th><th>images</th></tr></thead><tbody>"
        "<tr><td>fd &lt;1&gt;</td><td>12.35</td><td></td></tr><tr><td>n</td><td></td><td>1,000</td></tr>"
        "</tbody></table>"
    )
    assert Rows().having("a") == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(
            ("run.json", each)
            for each in ("", "[]", "3", '{"name": "x"}', '{"id": 3, "name": "x"}', "\x00\x01", "[" * 100000)
        ),
        *(
            ("metrics.json", each)
            for each in ("", "[]", '{"values": []}', '{"values": {"fd": "text"}}', '{"evaluations": [3]}')
        ),
        *(("config.yaml", each) for each in ("", "3", "- a\n", "a: [", "\x00")),
        *(("overrides.yaml", each) for each in ("3", "a: b\n", "- 3\n", "[")),
    ],
)
def test_a_damaged_file_of_a_run_is_told_when_it_is_opened(name, content, tmp_path):
    from genexp.inference.run import load_run
    from genexp.runs.run_folder import DamagedRun, RunFolder

    folder = RunFolder.claim(tmp_path / "run", {"id": "a", "name": "x"})
    folder.config_path.write_text(OmegaConf.to_yaml(CONFIG))
    (folder.path / "overrides.yaml").write_text("- model=vae\n")
    folder.last.write_bytes(b"x")
    load_run(folder.path)
    (folder.path / name).write_text(content)
    with pytest.raises(DamagedRun, match=rf"{name} of the run .*") as raised:
        load_run(folder.path)
    assert str(folder.path) in str(raised.value)
