"""Run folders of an earlier version: they load, draw what they drew, measure what they measured, and go on."""

import csv
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import genexp
from genexp.__main__ import main
from genexp.runs.evaluations import read_evaluations
from genexp.runs.run_folder import RunFolder
from genexp.runs.stored import read_run
from genexp.tensors import to_uint8

STORED = Path(__file__).parents[1] / "earlier_runs"
IMAGES_SEEN = {"gan": 128, "toy": 256, "vae": 128}


@pytest.fixture(params=sorted(IMAGES_SEEN))
def folder(request, tmp_path, monkeypatch):
    """A copy of a stored run, and its folder as working folder."""
    shutil.copytree(STORED / request.param, tmp_path / request.param)
    monkeypatch.chdir(tmp_path)
    return tmp_path / request.param


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
    main()


def test_a_stored_run_loads_and_draws_what_it_drew(folder):
    run = genexp.load_run(folder)
    drawn = run.samples(8, seed=5)
    before = next((folder / "samples").glob("seed5*"))
    if folder.name == "toy":
        rows = [[float(each) for each in row] for row in csv.reader((before / "points.csv").open())]
        assert torch.allclose(drawn, torch.tensor(rows), atol=1e-3)
        return
    for image, path in zip(to_uint8(drawn), sorted((before / "images").glob("*.png")), strict=False):
        with Image.open(path) as stored:
            expected = torch.tensor(list(stored.tobytes()), dtype=torch.int16).view(8, 8)
        assert (image[0].short() - expected).abs().max() <= 1  # rounding, on another processor


def test_a_stored_runs_values_are_read(folder):
    run = genexp.load_run(folder)
    assert run.metrics["images_seen"] == IMAGES_SEEN[folder.name]
    fd = [row for row in run.table if row["metric"].startswith("fd/")]
    assert fd[0]["value"] == next(value for key, value in run.metrics["values"].items() if key.startswith("fd/"))
    assert fd[0]["better"] == "lower"
    assert run.history[-1]["images_seen"] == IMAGES_SEEN[folder.name]
    read_run(folder).require_id()


def test_a_stored_run_is_measured_as_it_was(folder, monkeypatch):
    if folder.name == "toy":
        pytest.skip("the evaluation of the stored run was of images")
    before = RunFolder(folder).metrics["evaluations"]
    command(monkeypatch, "evaluate", f"run={folder}", "num=50", "metrics=[fd,kid]", "wandb=false")
    again = read_evaluations(RunFolder(folder))
    expected = {each["key"]: each["value"] for each in before}
    assert {each["key"]: each["value"] for each in again} == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_stored_run_goes_on(folder, monkeypatch):
    longer = IMAGES_SEEN[folder.name] + 64
    typed = [f"training.max_images={longer}", "logger=none", "threads=1", "training.evaluate_every=64"]
    command(monkeypatch, "train", f"resume={folder}", "trust=true", *typed)
    again = RunFolder(folder)
    assert again.record["state"] == "finished"
    assert again.metrics["images_seen"] == longer
    rows = again.history()
    assert rows[-1]["images_seen"] == longer
    assert [row["images_seen"] for row in rows] == sorted(row["images_seen"] for row in rows)
