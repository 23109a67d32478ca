"""Images made of pictures from end to end: a short training, its values, its sheets, and a person's own pictures."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import genexp
import tiny
from genexp.__main__ import main
from genexp.commands.evaluate import evaluate
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.model_metrics import metrics_of_model, without_those_of_models
from genexp.inference.run import load_run
from genexp.runs.evaluations import read_evaluations
from recorded import wandb_records

SHORT = [
    *("experiment=pix2pix/contrasts", "trainer=cpu", "threads=1", "trainer.precision=32-true"),
    *("model.generator.width=16", "model.generator.widest=32", "model.critic.discriminator.width=8"),
    *("data.source.train_images=320", "data.source.val_images=24", "data.source.test_images=24"),
    *("data.batch_size=8", "training.max_images=1280", "training.evaluate_every=1280"),
    *("model.generator_optimizer.lr=1e-3", "callbacks.sample_grid.num=8", "callbacks.sample_grid.columns=null"),
]


@pytest.fixture(autouse=True)
def typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["genexp"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny.run([*SHORT, f"paths.outputs={tmp_path_factory.mktemp('runs')}"])


def draw(run, out, *typed):
    main(["sample", f"run={run.path}", f"out={out}", "interpolate=0", "threads=1", *typed])
    return {path.name: np.asarray(Image.open(path)) for path in sorted((out / "images").glob("*.png"))}


def tiles(path, rows, columns):
    """Tiles (rows, columns, 64, 64) of a sheet of 32-pixel images, which words stand above and to the left of."""
    sheet = np.asarray(Image.open(path).convert("L"))
    top, left = sheet.shape[0] - rows * 66 - 2, sheet.shape[1] - columns * 66 - 2
    assert top > 0
    assert left > 0
    starts = [[(top + 2 + 66 * r, left + 2 + 66 * c) for c in range(columns)] for r in range(rows)]
    return np.stack([[sheet[y : y + 64, x : x + 64] for y, x in row] for row in starts])


def test_a_short_training_beats_the_plain_source_and_shows_its_pairs(run):
    values = {row["key"].split("/")[0]: row for row in read_evaluations(run)}
    assert values["translation_gain"]["low"] > 3
    assert values["translation_gain"]["unit"] == "dB"
    assert values["translation_l1"]["value"] < values["translation_l1"]["details"]["copy"]
    logged = [record["history"]["item"] for record in wandb_records(run) if record["type"] == "history"]
    assert any("pictures/pairs" in json.dumps(item) for item in logged)
    assert [path.name for path in run.samples.glob("pairs_*.png")] == ["pairs_0000001280.png"]


def test_held_out_pairs_are_drawn_beside_the_grid(run, tmp_path):
    draw(run, tmp_path, "num=5")
    data = genexp.load_run(run.path).data
    held_out = build(data).source.split("val").read(torch.arange(5))
    shown = tiles(tmp_path / "pairs.png", 3, 5)
    for row, column in ((0, "source"), (2, "image")):
        expected = held_out[column][:, 0].repeat_interleave(2, 1).repeat_interleave(2, 2).numpy()
        assert (shown[row] == expected).all()
    near = np.abs(shown[1].astype(int) - shown[2]).mean((1, 2))
    other = np.abs(shown[1].astype(int) - np.roll(shown[2], 1, 0)).mean((1, 2))
    assert near.mean() < other.mean()


def test_own_pictures_are_translated_in_any_batches(run, tmp_path):
    source = genexp.load_run(run.path)
    rows = torch.arange(3)
    pictures = build(source.data).source.split("test").read(rows)["source"]
    (tmp_path / "own").mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture[0].numpy()).save(tmp_path / "own" / f"{i}.png")
    given = f"condition.source={tmp_path / 'own'}"
    many = draw(run, tmp_path / "many", "num=6", given)
    few = draw(run, tmp_path / "few", "num=3", "batch_size=1", given)
    assert all((few[name].astype(int) - many[name] <= 1).all() for name in few)
    assert not (many["000000.png"] == many["000003.png"]).all()  # the same picture by another noise
    shown = tiles(tmp_path / "few" / "pairs.png", 2, 3)  # of these nobody knows the real image
    assert (shown[0][:, ::2, ::2] == pictures[:, 0].numpy()).all()
    told = pictures.float() / 127.5 - 1
    again = (source.samples(3, source=told)[:, 0].add(1).mul(127.5)).round().clamp(0, 255).numpy()
    assert all(np.abs(again[i] - few[f"00000{i}.png"]).max() <= 1 for i in range(3))
    assert json.loads((tmp_path / "few" / "sample.json").read_text())["condition"] == {"source": str(tmp_path / "own")}


def test_the_test_split_is_measured_by_evaluate(run, tmp_path, capsys):
    given = [f"run={run.path}", f"out={tmp_path}", "metrics=[translation,lesions]", "metrics.translation.split=test"]
    given.append("metrics.lesions.split=test")
    evaluate(compose("evaluate", [*given, "wandb=false", "grid=0", "pictures=0"]))
    found = json.loads((tmp_path / "averaged" / "metrics.json").read_text())["values"]
    values = {key.split("/")[0]: value for key, value in found.items()}
    assert set(values) == {"translation_psnr", "translation_ssim", "translation_l1", "translation_gain", "lesions_kept"}
    assert 0 <= values["lesions_kept"]["value"] <= 1
    assert values["translation_psnr"]["protocol"]["reference"] == "test"
    assert values["translation_gain"]["value"] > 3
    assert "translation_psnr" in capsys.readouterr().out
    evaluate(compose("evaluate", [*given, "wandb=false", "grid=0", "pictures=0", "num=3"]))
    assert json.loads((tmp_path / "averaged" / "metrics.json").read_text())["values"] == found
    assert "num=3 is without effect on translation, lesions: of the model itself" in capsys.readouterr().err


def test_metrics_of_a_model_read_the_data_of_its_run_and_of_no_other(run):
    config = compose("evaluate", [f"run={run.path}", "metrics=[lesions,spectrum]"])
    own = load_run(run.path)
    assert metrics_of_model(config, [own])["lesions"].require(own.model.source()) is None
    assert set(without_those_of_models(config).metrics) == {"spectrum"}
    other = SimpleNamespace(folder=own.folder, data=OmegaConf.merge(own.data, {"source": {"bias": 0.1}}))
    with pytest.raises(ValueError, match=r"metrics\.lesions must be of runs of one data set, got others in"):
        metrics_of_model(config, [own, other])
    bare = SimpleNamespace(folder=own.folder, data=OmegaConf.create({"shape": [1, 8, 8]}))
    with pytest.raises(ValueError, match=r"metrics\.lesions asks for more than the run's data have: .*data\.source"):
        metrics_of_model(config, [bare])


@pytest.mark.slow  # three short trainings
def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path):
    parts = [
        "model/critic/augmentations=diff_augment",
        "data.augment=[{_target_: torchvision.transforms.v2.RandomCrop, ",
    ]
    parts[1] += "size: 32, padding: 2}]"
    short = [*SHORT, *parts, "logger=none", "training.max_images=320", "training.evaluate_every=160"]
    tiny.run([*short, f"paths.outputs={tmp_path / 'whole'}"])
    half = tiny.run([*short, "training.max_images=160", f"paths.outputs={tmp_path / 'half'}"])
    tiny.run([*short, f"paths.outputs={tmp_path / 'half'}", f"resume={half.path}"])
    first, second = (tiny.checkpoint(tiny.newest(tmp_path / name)) for name in ("whole", "half"))
    assert tiny.differences(first["state_dict"], second["state_dict"]) == []
    assert tiny.differences(first["optimizer_states"], second["optimizer_states"]) == []
