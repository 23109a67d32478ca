"""`genexp evaluate`: values with protocols and pictures, for runs, folders and the metrics themselves."""

import json
import shutil

import pytest
import torch
from PIL import Image

import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.evaluation.images import quantised
from genexp.evaluation.protocol import Protocol
from genexp.inference.generated_images import Samples
from genexp.runs.evaluations import EVALUATE, TRAINING, read_evaluations
from genexp.sampling.conditions import labels_in_shares
from tiny import run

KEY = "fd/digits_classifier@42f2cb7d"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    length = ["training.max_images=64", "training.evaluate_every=64", "model.num_classes=10"]
    return run([*tiny.overrides_for("gan"), *length, f"paths.outputs={outputs}"])


def measured(folder, out, *overrides):
    evaluate(compose("evaluate", [f"run={folder.path}", f"out={out}", "num=60", "wandb=false", *overrides]))
    return json.loads((out / "averaged" / "metrics.json").read_text())["values"]


def count_draws(monkeypatch):
    drawn, original = [], Samples._batch

    def watched(self, indices):
        draw = self.sampler.run
        self.sampler.run = lambda *given: (drawn.append(indices), draw(*given))[1]
        try:
            return original(self, indices)
        finally:
            self.sampler.run = draw

    monkeypatch.setattr(Samples, "_batch", watched)
    return drawn


def test_a_value_comes_with_protocol_floor_and_pictures(trained, tmp_path, capsys):
    values = measured(trained, tmp_path, "batch_size=25")
    found = values[KEY]
    protocol = Protocol.read(found["protocol"])
    assert (protocol.key, protocol.n_generated, protocol.n_reference) == (KEY, 60, 1197)
    assert (protocol.weights, protocol.seed, protocol.reference) == ("averaged", 0, "train")
    assert protocol.dealing == "within 10 classes"
    assert 0 < found["floor"] < found["value"]
    for name in ("nearest", "best", "worst"):
        with Image.open(tmp_path / "averaged" / f"{name}.png") as picture:
            assert picture.width < picture.height  # ten rows of one sample and five neighbours
    shown = capsys.readouterr().out
    assert KEY in shown
    assert "60 images against 1,197 of train" in shown


def test_the_value_is_that_of_the_training_callback(tmp_path):
    folder = run(
        [
            *tiny.overrides_for("gan"),
            "training.max_images=64",
            "training.evaluate_every=64",
            "callbacks.evaluate.num=60",
            f"paths.outputs={tmp_path}",
        ]
    )
    (row,) = [row for row in folder.history() if KEY in row]
    assert measured(folder, tmp_path / "out")[KEY]["value"] == pytest.approx(row[KEY], rel=1e-6)


def test_an_interrupted_evaluation_draws_only_what_is_missing(trained, tmp_path, monkeypatch):
    folder = type(trained)(tmp_path / "run")
    shutil.copytree(trained.path, folder.path)
    shutil.rmtree(folder.path / "evaluations", ignore_errors=True)
    drawn = count_draws(monkeypatch)
    first = measured(folder, tmp_path / "a", "batch_size=20")
    assert len(drawn) == 3
    assert measured(folder, tmp_path / "b", "batch_size=20") == first
    assert len(drawn) == 3
    kept = sorted((folder.path / "evaluations" / "images").iterdir())
    kept[0].unlink()
    kept[1].write_bytes(b"torn")
    assert measured(folder, tmp_path / "c", "batch_size=20") == first
    assert len(drawn) == 5
    measured(folder, tmp_path / "d", "batch_size=20", "seed=1")
    assert len(drawn) == 8


def test_the_time_of_an_image_is_told_by_fresh_images_alone(trained, tmp_path):
    folder = type(trained)(tmp_path / "run")
    shutil.copytree(trained.path, folder.path)
    shutil.rmtree(folder.path / "evaluations", ignore_errors=True)

    def told(name):
        measured(folder, tmp_path / name, "batch_size=20", "threads=1", "pictures=0")
        return json.loads((tmp_path / name / "averaged" / "metrics.json").read_text()).get("sampling")

    first = told("a")
    assert 0 < first.pop("sampling_seconds") < 1
    settings = {"sampler": "Latent()", "weights": "averaged", "batch_size": 20, "device": "cpu", "threads": 1}
    assert first == {"images": 60, **settings}
    assert told("b") is None
    next((folder.path / "evaluations" / "images").iterdir()).unlink()
    assert told("c")["images"] == 20


def test_the_run_keeps_one_row_for_every_protocol(trained, tmp_path):
    folder = type(trained)(tmp_path / "run")
    shutil.copytree(trained.path, folder.path)
    before = folder.metrics
    for seed in (0, 0, 1):
        measured(folder, tmp_path / "out", f"seed={seed}")
    rows = [row for row in read_evaluations(folder) if row["source"] == EVALUATE]
    assert [(row["key"], row["protocol"]["seed"]) for row in rows] == [(KEY, 0), (KEY, 1)]
    (trainings,) = [row for row in read_evaluations(folder) if row["source"] == TRAINING]
    assert trainings["key"] == KEY
    assert folder.metrics == before


def test_images_that_are_drawn_otherwise_are_measured_in_a_folder_of_their_own(trained, tmp_path):
    folder = type(trained)(tmp_path / "run")
    shutil.copytree(trained.path, folder.path)
    shutil.rmtree(folder.path / "evaluations", ignore_errors=True)
    usual = ["wandb=false", "pictures=0", "grid=0", "num=30"]
    for further in ([], ["++sampler.truncation=0.5"], ["++sampler.truncation=0.7"], ["checkpoint=last"]):
        evaluate(compose("evaluate", [f"run={folder.path}", *usual, *further]))
    found = {path.parent.name for path in (folder.path / "evaluations").glob("*/metrics.json")}
    names = ("seed0_latent", "seed0_latent_truncation0.5", "seed0_latent_truncation0.7")
    assert found == {*(f"30_{name}_averaged" for name in names), "last_30_seed0_latent_averaged"}


def test_averaged_and_raw_weights_are_compared_in_pairs(trained, tmp_path, capsys):
    options = [f"run={trained.path}", f"out={tmp_path}", "num=300", "wandb=false", "weights=[averaged,raw]"]
    evaluate(compose("evaluate", options))
    shown = capsys.readouterr().out
    assert f"averaged weights minus run {trained.record['id']}, raw weights, paired over the same noise" in shown
    raw, averaged = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("raw", "averaged"))
    assert raw["values"][KEY]["protocol"]["weights"] == "raw"
    assert len(averaged["values"][KEY]["draws"]) == 20
    assert averaged["values"][KEY]["low"] < averaged["values"][KEY]["extrapolated"] < averaged["values"][KEY]["high"]


def test_two_runs_are_compared_in_pairs_over_the_same_noise(trained, tmp_path, capsys):
    other = type(trained)(tmp_path / "other")
    shutil.copytree(trained.path, other.path)
    runs = f"run=[{trained.path},{other.path}]"
    evaluate(compose("evaluate", [runs, f"out={tmp_path / 'out'}", "num=300", "wandb=false"]))
    shown = capsys.readouterr().out
    assert shown.count("300 images against 1,197 of train") == 2
    (line,) = [line for line in shown.splitlines() if line.startswith(KEY) and line.split()[1] == "0"]
    assert line.split() == [KEY, "0", "0", "to", "0", "1"]  # no difference, no width, p = 1


def test_saved_pictures_score_as_the_run_that_drew_them(trained, tmp_path):
    from_run = measured(trained, tmp_path / "run")[KEY]["value"]
    again = tmp_path / "again"
    sample(compose("sample", [f"run={trained.path}", f"out={again}", "num=60"]))
    evaluate(
        compose(
            "evaluate",
            [f"generated={again / 'images'}", "reference=digits", "data=digits", f"out={tmp_path / 'out'}"],
        )
    )
    values = json.loads((tmp_path / "out" / "metrics.json").read_text())["values"]
    assert values[KEY]["value"] == pytest.approx(from_run, rel=1e-3)
    assert values[KEY]["protocol"]["n_generated"] == 60


def test_pictures_in_class_folders_are_dealt_within_their_classes(trained, tmp_path):
    sample(compose("sample", [f"run={trained.path}", f"out={tmp_path / 's'}", "num=80"]))
    (pictures,) = tmp_path.glob("s/images")
    for number, path in enumerate(sorted(pictures.glob("*.png"))):
        target = tmp_path / "by_class" / f"{number * 4 // 80}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    found = {}
    for name in ("s/images", "by_class"):
        options = [f"generated={tmp_path / name}", "reference=digits", "data=digits", "metrics=[kid]"]
        evaluate(compose("evaluate", [*options, f"out={tmp_path / 'out'}"]))
        ((_, found[name]),) = json.loads((tmp_path / "out" / "metrics.json").read_text())["values"].items()
    assert [each["protocol"]["dealing"] for each in found.values()] == ["by index", "within 4 classes"]
    assert found["s/images"]["value"] == pytest.approx(found["by_class"]["value"])
    assert found["s/images"]["draws"] != found["by_class"]["draws"]


def test_two_folders_of_one_set_of_pictures_are_at_no_distance(trained, tmp_path):
    sample(compose("sample", [f"run={trained.path}", f"out={tmp_path / 's'}", "num=40"]))
    shutil.copytree(tmp_path / "s" / "images", tmp_path / "copy")
    evaluate(
        compose(
            "evaluate",
            [f"generated={tmp_path / 'copy'}", f"reference={tmp_path / 's' / 'images'}", f"out={tmp_path / 'out'}"],
        )
    )
    ((key, value),) = json.loads((tmp_path / "out" / "metrics.json").read_text())["values"].items()
    assert key.startswith("fd/cifar_vgg@")
    assert value["value"] == pytest.approx(0, abs=1e-6)


def test_a_self_check_finds_a_metric_that_does_not_move_as_it_says(tmp_path, capsys, monkeypatch):
    from genexp.evaluation.metrics.frechet import FrechetDistance

    options = ["reference=digits", "data=digits", "self_check=true", "metrics=[fd,precision_recall]"]
    evaluate(compose("evaluate", [*options, f"out={tmp_path / 'a'}"]))
    found = json.loads((tmp_path / "a" / "self_check.json").read_text())
    assert {row[KEY]["moved"] for name, row in found.items() if name in FrechetDistance.reacts} == {"worse"}
    assert found["real"][KEY]["value"] < found["noise"][KEY]["value"]
    for value, collapsed, swapped in (("precision", 0.7, 0.3), ("recall", 0.2, 0.7)):
        values = {name: row[KEY.replace("fd/", f"{value}/")]["value"] for name, row in found.items()}
        assert (values["collapse"] > collapsed) == (value == "precision")
        assert (values["swapped"] > swapped) == (value == "recall"), values
    monkeypatch.setattr(FrechetDistance, "reacts", {"blur": "better"})
    with pytest.raises(SystemExit) as stopped:
        evaluate(compose("evaluate", [*options, f"out={tmp_path / 'b'}"]))
    assert stopped.value.code == 1
    assert "WRONG, expected better" in capsys.readouterr().out


def test_values_reach_the_summary_of_the_w_and_b_run(tmp_path):
    from test_wandb import records

    folder = run(
        [
            *tiny.overrides_for("vae"),
            "training.max_images=64",
            "training.evaluate_every=64",
            "logger=wandb",
            f"paths.outputs={tmp_path}",
        ]
    )
    evaluate(compose("evaluate", [f"run={folder.path}", "num=30"]))
    stored = json.dumps([record["summary"] for record in records(folder) if record["type"] == "summary"])
    assert f"evaluate/averaged/{KEY}" in stored


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "one of run and generated must be given, got neither"),
        (["run=a", "generated=b"], "one of run and generated must be given, got run and generated"),
        (["generated=b"], r"reference must name real images \(a folder, or a data set as in digits:test\), got null"),
        (
            ["generated=digits:val", "reference=test"],
            "reference must name the data that a split belongs to, as in digits:test",
        ),
        (["generated=digits:val", "reference=nowhere"], "reference must be a split .* or a folder, got nowhere"),
        (["generated=shapes:test", "reference=digits", "data=digits"], r"shape of the reference, \(1, 8, 8\)"),
        (["generated=digits:val", "reference=digits", "data=digits", "num=201"], "num must be at most the 200 images"),
        (
            ["generated=digits:val", "reference=digits", "data=digits", "metrics=none"],
            "metrics must name at least one metric",
        ),
        (["run=a", "num=1"], "num: must be a whole number of at least 2 or null, got 1"),
        (["run=a", "batch_size=0"], "batch_size: must be a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(overrides, text):
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        evaluate(compose("evaluate", overrides))


def test_a_model_that_draws_nothing_is_refused(tmp_path):
    folder = run(
        [
            "model=classifier",
            "trainer=cpu",
            "logger=none",
            "threads=1",
            "training.max_images=64",
            "training.evaluate_every=64",
            f"paths.outputs={tmp_path}",
        ]
    )
    with pytest.raises(ValueError, match="run must be of a model that draws images from noise, got Classifier"):
        evaluate(compose("evaluate", [f"run={folder.path}", "extractor=digits_classifier"]))


def test_the_same_seed_gives_the_same_images_on_any_batch_size(trained):
    from genexp.inference.run import load_run

    loaded = load_run(trained.path)
    sets = [
        torch.cat([b["image"] for b in Samples(loaded, loaded.config.sampler, 20, 3, size, "cpu").batches()])
        for size in (20, 7)
    ]
    torch.testing.assert_close(*sets, rtol=0, atol=1.01 / 127.5)


def test_image_i_of_an_evaluation_is_image_i_of_sample_and_of_a_notebook(trained):
    from genexp.inference.run import load_run

    loaded = load_run(trained.path)
    assert sum(loaded.folder.record["class_counts"]) == 1197
    batches = list(Samples(loaded, loaded.config.sampler, 30, 3, 8, "cpu").batches())
    drawn = loaded.samples(30, seed=3)
    torch.testing.assert_close(
        quantised(drawn), torch.cat([each["image"] for each in batches]), rtol=0, atol=1.01 / 127.5
    )
    labels = labels_in_shares(range(30), loaded.folder.record["class_counts"])
    assert torch.equal(torch.cat([each["label"] for each in batches]), labels)
    assert not torch.equal(loaded.samples(30, seed=3, label=1)[labels != 1], drawn[labels != 1])
