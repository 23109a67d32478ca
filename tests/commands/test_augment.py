"""Labelled folders that a run of classes draws: balanced, the same again, read as data, all of them or nothing."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import tiny
from genexp.commands import validate
from genexp.commands.augment import augment
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference import augmenting
from genexp.inference.augmenting import class_folders
from genexp.inference.run import load_run
from genexp.runs.picture_origin import read_claim
from genexp.tensors import to_uint8

STORED = Path(__file__).parents[1] / "earlier_runs"
SHORT = ["data.batch_size=8", "training.max_images=16", "training.evaluate_every=16", "metrics=none"]
FAMILIES = {"vae": "vae/class_conditional", "gan": "cgan/digits", "diffusion": "cfg/digits"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    return {
        family: tiny.run([f"experiment={name}", *tiny.COMMON, *SHORT, *tiny.SMALL[family], f"paths.outputs={outputs}"])
        for family, name in FAMILIES.items()
    }


def written(run, out, *typed):
    augment(compose("augment", [f"run={run.path}", f"out={out}", "threads=1", *typed]))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.png"))}


def pixels(path):
    with Image.open(path) as picture:
        return torch.tensor(list(picture.getdata())).view(1, *picture.size)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_has_as_many_and_each_is_the_sample_of_its_index_and_class(family, runs, tmp_path):
    found = written(runs[family], tmp_path / "drawn", "per_class=3", "seed=5")
    assert sorted(found) == sorted(f"{i % 10}/{i:06d}.png" for i in range(30))
    run = load_run(runs[family].path)
    for label in (0, 7):
        alone = run.samples(30, seed=5, label=label)
        for index in range(label, 30, 10):
            difference = pixels(tmp_path / "drawn" / str(label) / f"{index:06d}.png") - to_uint8(alone[index]).int()
            assert difference.abs().max() <= 1  # of 8 bits: batches of another size round otherwise
    record = json.loads((tmp_path / "drawn" / "augment.json").read_text())
    assert record["run"] == run.folder.record["id"]
    assert record["digest"] == run.digest
    assert record["classes"] == list("0123456789")


def test_pictures_depend_on_seed_and_index_alone_and_more_of_them_add_to_the_first(runs, tmp_path):
    few = written(runs["vae"], tmp_path / "few", "per_class=2", "provenance=false")
    assert written(runs["vae"], tmp_path / "again", "per_class=2", "provenance=false") == few
    many = written(runs["vae"], tmp_path / "many", "per_class=5", "provenance=false")
    assert len(many) == 50
    assert {name: many[name] for name in few} == few
    assert written(runs["vae"], tmp_path / "other", "per_class=2", "seed=1", "provenance=false") != few


def test_the_folder_is_data_with_its_labels(runs, tmp_path):
    written(runs["vae"], tmp_path / "drawn", "per_class=6")
    typed = ["data=folder", f"data.source.root={tmp_path}/drawn", "data.image_size=8", "data.channels=1"]
    typed += ["data.num_classes=10", "data.augment=[]", "data.source.val_share=0.1", "data.source.test_share=0.1"]
    data = build(compose("train", [*typed, "model=classifier"]).data)
    data.setup()
    rows = data.examples("train", torch.arange(data.split_size("train")))
    alone = {label: load_run(runs["vae"].path).samples(60, label=label) for label in range(10)}
    for image, label in zip(rows["image"], rows["label"].tolist(), strict=True):
        own = [(image - each).abs().max() < 0.01 for each in alone[label][label::10]]
        assert any(own)
    assert sorted(set(rows["label"].tolist())) == list(range(10))


def test_pictures_say_which_run_drew_them(runs, tmp_path):
    written(runs["gan"], tmp_path / "drawn", "per_class=1")
    with Image.open(tmp_path / "drawn" / "4" / "000004.png") as picture:
        rows = dict(read_claim(picture.text["genexp"]).rows)
    assert load_run(runs["gan"].path).digest in rows["run"]
    assert rows["index"] == "4"


def test_a_folder_is_written_anew_as_a_whole_or_stays_as_it_was(runs, tmp_path, monkeypatch):
    out = tmp_path / "drawn"
    written(runs["vae"], out, "per_class=3")
    (out / "mine.txt").write_text("kept")
    (out / "11").mkdir()
    (out / "11" / "000011.png").write_bytes((out / "1" / "000001.png").read_bytes())  # of a run with more classes
    before = written(runs["vae"], out, "per_class=2")
    assert len(before) == 20
    assert not (out / "11").exists()
    assert (out / "mine.txt").read_text() == "kept"
    saved = augmenting.save_png

    def fails(image, path, text):
        if path.name == "000017.png":
            raise OSError(28, "No space left on device", str(path))
        saved(image, path, text)

    monkeypatch.setattr(augmenting, "save_png", fails)
    with pytest.raises(OSError, match="No space left") as error:
        written(runs["vae"], out, "per_class=4", "seed=9")
    assert error.value.filename == str(out / "7" / "000017.png")
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.png")} == before
    assert [each.name for each in tmp_path.iterdir()] == ["drawn"]


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["ant", "bee"], ["ant", "bee"]),
        (["bee", "ant"], ["0", "1"]),  # data=folder would number them the other way
        (["train", "van"], ["0", "1"]),
        (["a/b", "c"], ["0", "1"]),
        (["a"], ["0", "1"]),
        ([f"{i:02d}" for i in range(11)], [f"{i:02d}" for i in range(11)]),
        ([str(i) for i in range(11)], [f"{i:02d}" for i in range(11)]),
    ],
    ids=["names", "order", "split", "path", "fewer", "padded", "numbers"],
)
def test_class_folders_keep_the_order_of_the_labels(names, folders, monkeypatch):
    class Source:
        classes = names

    class Found:
        classes, source = None, Source()

    monkeypatch.setattr("genexp.inference.class_names.build", lambda node: Found())
    run = load_run(STORED / "vae")
    assert class_folders(run, len(folders)) == folders
    assert sorted(folders) == folders


REFUSED = {
    "vae per_class=2 out={out}": "run must be of a model that is told classes, got .* told no conditions: train one",
    "toy per_class=2 out={out}": "run must be of a model that draws pictures from noise, got",
    "vae per_class=2": "out must name the folder to write, got none",
    "vae out={out}": "per_class must name a number, got none",
    "vae per_class=2 out={here}": "out must be a new folder or one that was augmented before, got",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_cannot_be_augmented_is_refused_before_anything_is_written(typed, tmp_path, capsys):
    name, *options = typed.format(out=tmp_path / "drawn", here=Path(__file__).parent).split()
    given = [f"run={STORED / name}", "threads=1", *options]
    with pytest.raises((ValueError, FileExistsError), match=REFUSED[typed]):
        augment(compose("augment", given))
    assert not (tmp_path / "drawn").exists()
    assert validate.main(["augment", *given]) == 1
    assert "1 with problems" in capsys.readouterr().err


def test_more_than_a_folder_holds_are_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="per_class must be at most 100,000 of 10 classes, got 100001"):
        augment(compose("augment", [f"run={runs['vae'].path}", f"out={tmp_path}/x", "per_class=100001", "threads=1"]))
