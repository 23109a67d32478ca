"""What a user may call things: names, notes and folders that look like numbers, through a run's whole life."""

import json
import sys

import pytest
import yaml

from genexp.commands.launch import launch
from genexp.commands.sample import sample
from genexp.commands.train import train
from tiny import overrides_for


@pytest.fixture
def genexp(tmp_path, monkeypatch):
    """A function that runs a command in this process as a shell would, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    commands = {"train": train, "sample": sample}

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", ["genexp", name, *arguments])
        launch(name, commands[name], list(arguments))

    return run


def test_a_run_whose_every_text_looks_like_a_number(genexp, tmp_path):
    texts = ["name=007", "group=3", "notes=1e3", "tags=[1,2e5]", "run_dir=77"]
    genexp("train", *overrides_for("vae"), "training.max_images=64", "metrics=none", *texts)
    config = yaml.safe_load((tmp_path / "77/config.yaml").read_text())
    record = json.loads((tmp_path / "77/run.json").read_text())
    assert {key: config[key] for key in ("name", "group", "notes", "tags")} == {
        "name": "007",
        "group": "3",
        "notes": "1e3",
        "tags": ["1", "2e5", *config["tags"][2:]],
    }
    assert (record["name"], record["group"], record["state"]) == ("007", "3", "finished")

    genexp("train", "resume=77", "training.max_images=128", "notes=8")
    assert json.loads((tmp_path / "77/run.json").read_text())["resumed"] == 1
    assert yaml.safe_load((tmp_path / "77/config.yaml").read_text())["notes"] == "8"

    genexp("sample", "run=77", "num=2", "out=2025")
    assert json.loads((tmp_path / "2025/sample.json").read_text())["num"] == 2
