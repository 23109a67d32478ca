"""A question as a W&B sweep: every value that agents could be given composes, and what is wrong is said before."""

import re

import pytest
import yaml

from genexp.commands.sweep import main
from genexp.config.check import problems_of
from genexp.sweeps.agents import doubles, wandb_sweep
from genexp.sweeps.question import Range, question_of, read_question

PLAIN = {
    "question": "Which step size?",
    "metric": "fd",
    "space": {
        "model.optimizer.lr": {"low": "1e-5", "high": 1e-2, "log": True},
        "model.network.width": {"low": 16, "high": 64, "step": 16},
        "data.batch_size": {"low": 16, "high": 100, "log": True},
        "seed": {"low": 0, "high": 3},
        "sampler": {"choices": ["ddim", "ddpm"]},
        "model.num_classes": {"choices": [None, 10]},
        "callbacks.sample_grid.num": {"low": 4, "high": 9},
    },
    "overrides": ["model=diffusion", "data=digits", "training.max_images=320"],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions/lr.yaml").write_text(yaml.safe_dump(PLAIN))
    return tmp_path / "questions"


def test_the_file_says_what_wandb_and_its_agents_need(folder, tmp_path, capsys):
    out = tmp_path / "made/lr.yaml"
    arguments = ["wandb", "sweep=lr", f"conf={folder}", f"out={out}", "count=20", "project=mine", "threads=2"]
    assert main(arguments) == 0
    sweep = yaml.safe_load(out.read_text())
    assert sweep["metric"] == {"name": "best/fd", "goal": "minimize"}
    assert (sweep["method"], sweep["run_cap"], sweep["project"]) == ("bayes", 20, "mine")
    assert sweep["description"] == "Which step size?"
    assert sweep["parameters"]["model.optimizer.lr"] == {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}
    assert sweep["parameters"]["model.network.width"] == {"values": [16, 32, 48, 64]}
    assert sweep["parameters"]["data.batch_size"] == {"values": [16, 32, 64, 100]}
    assert sweep["parameters"]["seed"] == {"distribution": "int_uniform", "min": 0, "max": 3}
    assert sweep["parameters"]["model.num_classes"] == {"values": ["null", 10]}
    assert sweep["command"][:5] == ["${env}", "${interpreter}", "-m", "genexp", "train"]
    assert sweep["command"][-1] == "${args_no_hyphens}"
    assert {"training.monitor=fd", "logger.wandb.mode=online", "threads=2"} <= set(sweep["command"])
    printed = capsys.readouterr().out
    assert f"wandb sweep {out}" in printed
    assert "wandb agent --count 20 <entity>/mine/<sweep id>" in printed


def test_what_an_agent_types_is_a_valid_run(folder):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = wandb_sweep(read_question("lr", folder))
    for place in (0, -1):
        values = {
            key: {"value": (each["values"] if "values" in each else [each["min"], each["max"]])[place]}
            for key, each in sweep["parameters"].items()
        }
        command = create_sweep_command(list(sweep["command"]))[:-1]
        typed = create_sweep_command_args({"args": values})["args_no_hyphens"]
        assert problems_of("train", [*command[5:], *typed]) == []


def test_a_grid_has_all_values_or_is_refused():
    numbers = question_of(
        "q", {"metric": "fd", "space": {"seed": {"low": 0, "high": 3}, "b": {"choices": [True, "x"]}}}
    )
    parameters = wandb_sweep(numbers, method="grid")["parameters"]
    assert parameters == {"seed": {"values": [0, 1, 2, 3]}, "b": {"values": ["true", "x"]}}
    with pytest.raises(ValueError, match=r"method must be bayes or random where model.optimizer.lr is a range"):
        wandb_sweep(question_of("lr", PLAIN), method="grid")


def test_one_of_several_metrics_has_to_be_named():
    both = question_of("q", PLAIN | {"metric": ["fd", "precision"], "direction": ["minimize", "maximize"]})
    with pytest.raises(ValueError, match="metric must be one of fd, precision, since W&B takes one"):
        wandb_sweep(both)
    assert wandb_sweep(both, metric="precision")["metric"] == {"name": "best/precision", "goal": "maximize"}
    assert "training.monitor_mode=max" in wandb_sweep(both, metric="precision")["command"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optuna"], "sweep must be followed by wandb, got optuna"),
        (["wandb"], "sweep=<question> must be given"),
        (["wandb", "sweep=none_such"], "sweep must be one of lr, got none_such"),
        (["wandb", "sweep=lr", "method=best"], "method must be one of bayes, random, grid, got best"),
        (["wandb", "sweep=lr", "count=many"], "count must be a number of runs, got many"),
        (["wandb", "sweep=lr", "count=0"], "count must be at least 1 run, got 0"),
        (["wandb", "sweep=lr", "optimiser=adam"], "the runs of this sweep must be valid"),
    ],
)
def test_refusals_are_plain_and_write_nothing(folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, f"conf={folder}"] if len(arguments) > 1 else arguments) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spaces": {}}, "sweep q must have the keys question, metric, direction, space, overrides, got spaces"),
        ({"metric": None}, "sweep q must name a metric"),
        ({"direction": "lower"}, "minimize or maximize"),
        ({"space": {}}, "sweep q must have a space with at least one key"),
        ({"space": {"seed": [1, 2]}}, "space.seed of sweep q must be {low, high, log, step} or {choices: "),
        ({"space": {"seed": {"low": 2, "high": 1}}}, "must have low below high"),
        ({"space": {"seed": {"low": "a", "high": 1}}}, "must have numbers as low and high, got 'a'"),
    ],
)
def test_a_question_says_what_is_wrong_with_it(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        question_of("q", PLAIN | change)


def test_doubles_end_at_the_bounds():
    assert doubles(Range(16, 128, log=True)) == [16, 32, 64, 128]
    assert doubles(Range(3, 20, log=True)) == [3, 6, 12, 20]
