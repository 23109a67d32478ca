"""A run's data are found from any folder, and what they are is said."""

import os

import pytest
from PIL import Image

import tiny
from genexp.commands.train import train
from genexp.commands.typed_arguments import overrides_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.image_sets import open_side
from genexp.runs.places import with_absolute_places, with_recorded_places
from genexp.runs.records import load_recorded


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    for split in ("Train", "Test"):
        for number, name in enumerate(("cat", "dog")):
            (tmp_path / "my zoo" / split / name).mkdir(parents=True)
            for level in range(12):
                Image.new("L", (8, 8), 100 * number + level).save(tmp_path / "my zoo" / split / name / f"{level}.png")
    (tmp_path / "my zoo" / "Train" / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my zoo"


def test_a_run_on_a_folder_says_what_it_found_and_is_continued_from_elsewhere(zoo, tmp_path, monkeypatch, capsys):
    size = ["data.image_size=8", "data.channels=1", "data.batch_size=4", "training.max_images=4"]
    every = ["training.evaluate_every=4", "training.checkpoint_every=4"]
    overrides = ["model=vae", "data=folder", "data.source.root='my zoo'", *tiny.COMMON, *size, *every]
    config = compose("train", [*overrides, f"paths.outputs={tmp_path / 'out'}"])
    train(config)
    shown = capsys.readouterr().err
    assert "data        48 pictures in my zoo: train 23, val 1, test 24, 2 class folders (cat, dog)" in shown
    assert "class folders are not used as labels: data.num_classes=2 uses them" in shown
    assert "passed over 1 file: 1 of another kind (.txt): my zoo/Train/notes.txt" in shown
    folder = tiny.newest(tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = build(load_recorded(folder.config_path).data)
    assert str(data.source.root) == str(zoo)
    assert data.split_size("test") == 24
    again = overrides_of("train", [f"resume={folder.path}"])
    assert f"data.source.root='{zoo}'" in again
    open_side("test", {"": load_recorded(folder.config_path).data}, "cpu")
    open_side(str(zoo / "Test"), {}, "cpu")
    told = capsys.readouterr().err
    assert "48 pictures in ../my zoo: train 23" in told
    assert "24 pictures in ../my zoo/Test, 2 class folders (cat, dog)" in told


def test_paths_of_data_and_weights_become_absolute_and_words_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg.pth").touch()
    plain = {
        "data": {"source": {"root": "pictures", "content": {"root": ["china.jpg", "~/mine", "mine"]}}},
        "extractor": {"weights": "vgg.pth"},
        "metrics": [{"weights": "torchvision"}],
        "model": {"root": "of the tree", "weights": None},
        "sampler": {"guide": {"run": "outputs/a", "weights": "raw", "checkpoint": "best"}, "other": {"run": "nowhere"}},
        "paths": {"outputs": "outputs", "cache": "~/cache"},
    }
    for name in ("raw", "best", "outputs/a"):
        (tmp_path / name).mkdir(parents=True)
    home = os.path.expanduser("~")
    assert with_absolute_places(plain) == {
        "data": {
            "source": {
                "root": f"{tmp_path}/pictures",
                "content": {"root": ["china.jpg", f"{home}/mine", f"{tmp_path}/mine"]},
            }
        },
        "extractor": {"weights": f"{tmp_path}/vgg.pth"},
        "metrics": [{"weights": "torchvision"}],
        "model": {"root": "of the tree", "weights": None},
        "sampler": {
            "guide": {"run": f"{tmp_path}/outputs/a", "weights": "raw", "checkpoint": "best"},
            "other": {"run": "nowhere"},
        },
        "paths": {"outputs": f"{tmp_path}/outputs", "cache": f"{home}/cache"},
    }


def test_a_part_that_was_typed_is_continued_with_from_elsewhere():
    config = {"sampler": {"guidance": {"guide": {"run": "/here/outputs/a b", "weights": "raw"}}}, "seed": 3}
    typed = ["sampler/guidance=autoguidance", "sampler.guidance.guide.run=outputs/a", "seed=3"]
    typed += ["sampler.guidance.guide.weights=raw", "+gone.run=x"]
    placed = with_recorded_places(typed, config)
    assert placed == [typed[0], "sampler.guidance.guide.run='/here/outputs/a b'", *typed[2:]]
