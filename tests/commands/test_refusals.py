"""What does not compose is said in one line, with the nearest right word, on the command line and by validate."""

import os
import subprocess
import sys

import pytest

from genexp.commands.validate import problems_of
from genexp.runs.launch import _before_overrides

LINES = {
    "trainer.max_epoch=7": "trainer.max_epoch: does not exist in trainer; did you mean max_epochs? "
    "(+trainer.max_epoch=7 adds a new key)",
    "model.netwrk.width=8": "model.netwrk: does not exist in model; did you mean network? "
    "(+model.netwrk.width=8 adds a new key)",
    "sead=1": "sead: does not exist; did you mean seed? (+sead=1 adds a new key)",
    "seed.first=1": "seed.first: does not exist, seed has no keys",
    "model/netwrk=unet": "model/netwrk: is not a group; did you mean model/network?",
    "callbacks=defualt": "callbacks: must be one of classification, default, got 'defualt'; did you mean default?",
    "logger=[wandb,csvv]": "logger: must be one of csv, none, tensorboard, wandb, got 'csvv'; did you mean csv?",
    "gan": "an override must read key=value or group=choice, got 'gan'",
}


@pytest.mark.parametrize("override", LINES)
def test_the_line(override):
    assert problems_of("train", [override]) == [LINES[override]]


def test_choices_in_folders_are_choices_of_experiments_alone():
    (line,) = problems_of("train", ["experiment=toy/ring9"])
    assert line.endswith("got 'toy/ring9'; did you mean toy/ring8?")
    (line,) = problems_of("train", ["model=dffusion"])
    assert line.endswith("got 'dffusion'; did you mean diffusion?")
    assert "network" not in line


def test_what_only_hydra_knows_is_kept_on_one_line():
    (line,) = problems_of("train", ["+seed=3"])
    assert "An item is already at 'seed'" in line
    assert "\n" not in line
    (line,) = problems_of("train", ["model.network.multipliers.9=1"])
    assert "multipliers.9" in line
    assert "list index out of range" in line


def test_a_file_that_names_a_missing_file_is_not_blamed_on_the_command_line(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /model: diffusio\n")
    (line,) = problems_of("train", ["experiment=mine", f"hydra.searchpath=[file://{tmp_path}]"])
    assert "model/diffusio" in line
    assert "must be one of" not in line


def genexp(*arguments, cwd, **variables):
    return subprocess.run(
        [sys.executable, "-m", "genexp", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | variables,
    )


@pytest.mark.parametrize("further", [[], ["-m"], ["--cfg", "job"]])
def test_the_command_line_says_one_line_and_makes_nothing(further, tmp_path):
    done = genexp("train", *further, "trainer.max_epoch=7", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"genexp train: {LINES['trainer.max_epoch=7']}\n"
    assert not list(tmp_path.iterdir())


def test_a_full_trace_can_still_be_asked_for(tmp_path):
    done = genexp("train", "sead=1", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigCompositionException" in done.stderr


def test_further_overrides_stand_beside_the_typed_ones():
    assert _before_overrides(["-m", "seed=0,1"], ["experiment=quickstart"]) == [
        "-m",
        "experiment=quickstart",
        "seed=0,1",
    ]
    assert _before_overrides(["--cfg", "job"], ["experiment=quickstart"]) == ["experiment=quickstart", "--cfg", "job"]
    assert _before_overrides(["seed=1", "--cfg", "job"], ["a=1"]) == ["a=1", "seed=1", "--cfg", "job"]
