"""What a study searches: spaces from YAML and the command line, jobs made of them, and Optuna's words for them."""

import csv
import io
import math
from types import SimpleNamespace

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genexp.sweeps.question import Choices, Range, question_of, read_question
from genexp.sweeps.study.report import table
from genexp.sweeps.study.samplers import distribution, label, make_pruner, make_sampler, values_from
from genexp.sweeps.study.space import require_searchable, values_of, written
from genexp.sweeps.study.study_plan import make_plan

LR = {"low": 1e-4, "high": 1e-2, "log": True}


def question(space, metric="fd", direction="minimize", overrides=()):
    return question_of("mine", {"metric": metric, "direction": direction, "space": space, "overrides": list(overrides)})


def plan(space, *typed, **named):
    return make_plan(question(space, **named), typed)


@pytest.mark.parametrize(
    "value",
    [0.1, 1e-05, 3, -2, True, None, "hinge", "a b", "it's", "true", "1.0", "null", "a,b", "", "x/y.z", [0.9, 0.999]],
)
def test_values_survive_as_overrides(value):
    parsed = OverridesParser.create().parse_override(f"key={written(value)}").value()
    found = getattr(parsed, "text", parsed)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (Range(1, 3), [1, 2, 3]),
        (Range(16, 64, step=16), [16, 32, 48, 64]),
        (Range(0.1, 0.4, step=0.1), [0.1, 0.2, 0.3, 0.4]),
        (Range(0.1, 0.4), None),
        (Range(1, 64, log=True), None),
        (Choices(("a", None)), ["a", None]),
    ],
)
def test_ranges_with_steps_can_be_listed_and_optuna_takes_every_value(parameter, values):
    require_searchable("key", parameter)
    assert values_of(parameter) == values
    for value in values or ():
        assert distribution(parameter)._contains(distribution(parameter).to_internal_repr(value))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"low": 2, "high": 1}, "low"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low"),
        ({"low": 1, "high": 10, "step": 4}, r"step of key must divide high - low, got 1 to 10 step 4"),
        ({"low": 1, "high": 8, "step": 0}, "step of key must divide"),
        ({"low": 1, "high": 8, "log": True, "step": 1}, "step of key must be null with log, got 1"),
        ({"low": 1.0, "high": math.inf}, "high of key must be a finite number, got inf"),
        ({"choices": ["one"]}, "key must have at least two choices, each once, got one"),
        ({"choices": [1, 1]}, "key must have at least two choices, each once, got 1, 1"),
        ({"low": 1}, "low"),
        (3, "low"),
    ],
)
def test_what_cannot_be_searched_is_refused(node, message):
    with pytest.raises(ValueError, match=message):
        plan({"key": node})


def test_a_key_must_read_like_an_override():
    with pytest.raises(ValueError, match=r"space must have keys such as .*, got 'a b'"):
        plan({"a b": LR})


def test_typed_values_are_fixed_and_typed_sweeps_are_searched():
    asked = question({"lr": LR, "width": {"choices": [8, 16]}}, overrides=["model=vae", "steps=5"])
    found = make_plan(asked, ["sweep=mine", "launcher=pool", "++steps=7", "width=4", "+extra=1,2", "x=interval(0,1)"])
    assert list(found.space) == ["lr", "+extra", "x"]
    assert found.space["+extra"] == Choices((1, 2))
    values = {"lr": 0.001, "+extra": 2, "x": 0.5}
    assert found.job(values) == ["model=vae", "++steps=7", "width=4", "lr=0.001", "+extra=2", "x=0.5"]
    tagged = make_plan(asked, ["lr=tag(log,interval(1,10))", "width=range(8,33,8)"])
    assert tagged.space == {"lr": Range(1, 10, log=True), "width": Range(8, 32, step=8)}
    with pytest.raises(ValueError, match="must leave something to search"):
        make_plan(asked, ["lr=1", "width=8"])


def test_lists_are_choices_and_come_back_as_they_were():
    betas = plan({"betas": {"choices": [[0.9, 0.999], [0.5, 0.9]]}})
    kept = label([0.5, 0.9])
    assert kept in distribution(betas.space["betas"]).choices
    assert betas.job(values_from(betas, {"betas": kept})) == ["betas=[0.5,0.9]"]


def test_a_grid_has_every_combination_and_needs_steps():
    both = plan({"a": {"low": 1, "high": 2}, "b": {"choices": ["x", "y"]}})
    assert [tuple(each.values()) for each in both.grid()] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    with pytest.raises(ValueError, match=r"lr must have a step or choices for sampler=grid, got 0\.0001 to 0\.01 log"):
        make_sampler("grid", 0, plan({"lr": LR}))


def test_several_metrics_are_judged_at_one_moment():
    two = {"metric": ["fd", "kid"], "direction": ["minimize", "minimize"]}
    assert plan({"lr": LR}).at == "best"
    assert plan({"lr": LR}, **two).at == "last"
    with pytest.raises(ValueError, match="at must be last for several metrics"):
        make_plan(question({"lr": LR}, **two), [], "best")
    with pytest.raises(ValueError, match=r"pruner must be null for several metrics \(fd, kid\), got median"):
        make_pruner("median", plan({"lr": LR}, **two), 100, 1000)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ("bayes", "sampler must be one of tpe, random, grid, cmaes, nsga2, or .*, got 'bayes'"),
        ({"name": "tpe", "startup": 3}, "sampler tpe must have arguments among .*n_startup_trials.*, got startup"),
        ("cmaes", "sampler=cmaes must have at least two ranges and one metric, got 1 and 1"),
    ],
)
def test_impossible_samplers_are_refused(sampler, message):
    with pytest.raises(ValueError, match=message):
        make_sampler(sampler, 0, plan({"lr": LR}))


def test_cmaes_takes_no_choices():
    with pytest.raises(ValueError, match="width must be a range for sampler=cmaes, got the choices 8, 16"):
        make_sampler("cmaes", 0, plan({"lr": LR, "width": {"choices": [8, 16]}}))


def test_a_pruner_knows_the_schedule_of_the_jobs():
    hyperband = make_pruner({"name": "hyperband", "reduction_factor": 2}, plan({"lr": LR}), 1000, 8000)
    assert (hyperband._min_resource, hyperband._max_resource, hyperband._reduction_factor) == (1000, 8000, 2)
    assert make_pruner(None, plan({"lr": LR}), 1000, 8000) is None
    with pytest.raises(ValueError, match=r"pruner must be one of median, .*, got 'none'"):
        make_pruner("none", plan({"lr": LR}), 1000, 8000)


def test_a_question_that_is_no_yaml_is_refused_with_its_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("metric: [")
    with pytest.raises(ValueError, match=r"a question must be readable YAML, got .*mine\.yaml"):
        read_question("mine", tmp_path)


def test_no_text_of_a_study_becomes_a_formula_in_a_spreadsheet():
    failed = {"host": "@machine", "folder": "+a", "reason": "=1+1"}
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs=failed)
    plan = SimpleNamespace(question=SimpleNamespace(metrics=["fd"]), space={"model.x": None})
    _, row = csv.reader(io.StringIO(table([trial], plan)))
    assert row[-3:] == ["'@machine", "'+a", "'=1+1"]
