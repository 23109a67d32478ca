"""Ablations with the logger that users get, and that the logger decides nothing of what is trained."""

import json
import os
import subprocess

import pytest
import yaml
from test_reproduce import CONTENT
from test_wandb import history, records

import forking
import tiny

pytestmark = pytest.mark.slow
LENGTHS = {
    **CONTENT,
    "title": "Rates",
    "overrides": [each for each in CONTENT["overrides"] if each != "logger=none"],
    "variants": {"lr": CONTENT["variants"]["lr"]},
    "reported": [],
}


@pytest.fixture(scope="module")
def reproduce(tmp_path_factory):
    place = tmp_path_factory.mktemp("ablation")
    (place / "rates.yaml").write_text(yaml.safe_dump(LENGTHS))
    environment = {**os.environ, "GENEXP_OUTPUTS": str(place / "outputs")}

    def reproduced(*arguments):
        command = [*forking.genexp(), "reproduce", "ablation=rates.yaml", "calibrate=false", *arguments]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        folder = place / "outputs/ablations/rates/cpu"
        return done.stderr, [
            tiny.RunFolder(folder / "runs" / job["folder"])
            for job in json.loads((folder / "runs/sweep.json").read_text())["jobs"]
        ]

    return reproduced


def test_trainings_keep_their_wandb_runs_and_are_done_whatever_logger_is_asked_for(reproduce):
    _, one_by_one = reproduce("slots=1", "seeds=[0]")
    _, all_four = reproduce("slots=2", "seeds=[0,1]")
    assert (len(one_by_one), len(all_four)) == (2, 4)
    for folder in all_four:
        found = records(folder)
        assert history(found)
        assert [record["type"] for record in found].count("exit") == 1
        assert {record["run"]["run_id"] for record in found if record["type"] == "run"} == {folder.record["id"]}
        assert list(folder.path.glob("wandb/offline-run-*/files/media/images/**/*.png"))

    err, folders = reproduce("seeds=[0,1]", "train=[logger=none]")
    assert "started" not in err
    assert [each.path for each in folders] == [each.path for each in all_four]
    err, folders = reproduce("seeds=[0,1,2]", "train=[logger=none]")
    assert (err.count("started"), len(folders)) == (4, 6)  # two trainings and what is measured of them
    assert not any((each.path / "wandb").exists() for each in folders[4:])
    err, _ = reproduce("seeds=[0,1,2]")
    assert "trainings 6, 6 done" in err
    assert "started" not in err
