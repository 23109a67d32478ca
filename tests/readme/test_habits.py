"""docs/habits.md: what is typed out of habit is refused by the name of what does it here, and that composes."""

import re

import pytest
from typed_lines import ROOT

import tiny
from genexp.__main__ import main
from genexp.config.check import problems_of

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/habits.md").read_text().splitlines()
    if line.startswith("| `")
]


def typed(cell):
    """The overrides of a cell's code."""
    return re.fullmatch("`([^`]+)`", cell)[1].split()


@pytest.mark.parametrize(("habit", "ours", "why"), ROWS, ids=[row[0] for row in ROWS])
def test_a_habit_is_answered_with_the_key_that_does_it(habit, ours, why):
    further = ["+callbacks.swa.swa_lrs=0.1"] * ("Stochastic" in habit)
    further += ["+callbacks.more.scheduling={0:2}"] * ("Scheduler" in habit)
    assert problems_of("train", typed(ours), here=False) == []
    if "work" in why:
        assert problems_of("train", [f"+{each}" if "max_steps" in each else each for each in typed(habit)]) == []
        return
    (problem,) = problems_of("train", [*typed(habit), *further])
    assert typed(habit)[0].lstrip("+").split("=")[0].removesuffix("._target_") in problem
    named = typed(ours)[0].partition("=")[0].split(".half_life")[0]
    assert named.replace("trainer.strategy", "ddp_fork").removesuffix(".evaluate") in problem


@pytest.mark.parametrize("monitor", ["fd", "val/elbo"])
def test_lightnings_early_stopping_watches_our_values(monitor, tmp_path, capsys):
    early = [
        "+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping",
        f"+callbacks.early.monitor={monitor}",
    ]
    early += ["+callbacks.early.mode=max"] * (monitor == "val/elbo")
    early += ["+callbacks.early.patience=1", "+callbacks.early.min_delta=1e9"]  # nothing is ever better by so much
    main(["train", *tiny.overrides_for("vae"), *early, f"paths.outputs={tmp_path}"])
    folder = tiny.newest(tmp_path)
    assert folder.record["state"] == "finished"
    assert tiny.checkpoint(folder)["counters"]["images_seen"] == 256  # after the second evaluation of three


def test_early_stopping_is_not_ended_by_a_bound_that_rises():
    early = ["+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping", "+callbacks.early.monitor=val/elbo"]
    (problem,) = problems_of("train", ["model=vae", *early])
    assert problem.startswith("callbacks.early.mode: must be max for val/elbo")


def test_early_stopping_on_what_nothing_measures_is_refused_with_what_there_is():
    early = ["+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping", "+callbacks.early.monitor=loss"]
    (problem,) = problems_of("train", ["model=vae", *early])
    assert problem.startswith("callbacks.early.monitor: must be one of fd, val/<term>, train/<term>, got 'loss'")
    early[-1] = "+callbacks.early.monitor=fd"
    (problem,) = problems_of("train", ["model=vae", *early, "callbacks.evaluate=null"])
    told = "must be one of val/<term>, train/<term> where callbacks.evaluate=null measures nothing, got 'fd'"
    assert problem.startswith(f"callbacks.early.monitor: {told}")
