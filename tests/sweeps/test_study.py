"""Studies over a stand-in for the process that starts jobs: totals, continuing, pruning, failures, several metrics."""

import csv
import json
import math
import os
import signal
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf
from sqlalchemy.exc import IntegrityError

from genexp.config.compose import compose
from genexp.config.messages import JobFailed, SweepInterrupted
from genexp.pool.queue import Pool
from genexp.pool.record import SweepFolder
from genexp.pool.slots import Slots, need_of
from genexp.runs.run_folder import RunFolder
from genexp.sweeps.study.fixed import difference, fixed_of
from genexp.sweeps.study.search import Search
from genexp.sweeps.study.storage import ask, used

TRAINING = {"max_images": 800, "evaluate_every": 100}
JOB = {"trainer": {"accelerator": "cpu", "devices": 1}, "threads": 1, "training": TRAINING}
SPACE = {"x": {"low": 0.0, "high": 1.0}, "kind": {"choices": ["good", "bad"]}}
SETTINGS = {"n_trials": 6, "sampler": "random", "seed": 0, "pruner": None, "at": "auto", "storage": None}


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


class Jobs:
    """Plays the process that starts jobs. A job evaluates eight times; its value is x, or x + 10 where it is bad."""

    def __init__(self, clock):
        self.clock, self.running, self.started, self.signals = clock, {}, [], []
        self.waits = {}
        self.on_tick = lambda jobs: None
        self.measure = lambda values, i: {"fd/digits@0a1b": values["x"] + 10 * (values["kind"] == "bad") - 0.01 * i}

    def order(self, **fields):
        if "signal" in fields:
            self.signals.append((fields["job"], fields["signal"]))
            self.running[fields["job"]]["signal"] = fields["signal"]
            return
        typed = dict(each.split("=", 1) for each in fields["arguments"] if "=" in each)
        values = (
            {"x": float(typed["x"]), "kind": typed["kind"]} if "x" in typed else self.running_before[fields["start"]]
        )
        path = Path(typed.get("run_dir") or typed["resume"])
        folder = RunFolder(path) if "resume" in typed else RunFolder.claim(path, {"state": "running"})
        self.started.append((fields["start"], values, "resume" in typed))
        job = {"values": values, "folder": folder, "seen": len(folder.history()) // 2, "signal": None}
        self.running[fields["start"]] = job

    def answers(self, timeout):
        self.clock.now += timeout
        self.on_tick(self)
        answers = []
        for key, job in list(self.running.items()):
            self.waits[key] = self.waits.get(key, 0) - 1
            status = None if self.waits[key] >= 0 else self._status(job)
            if status is not None:
                del self.running[key]
                answers.append({"ended": key, "status": status, "cpu_seconds": 0.1})
        return answers

    def _status(self, job):
        if job["signal"]:
            return -job["signal"]
        job["seen"] += 1
        if job["values"]["x"] > 0.9 and job["seen"] == 3:
            (job["folder"].path / "job.log").write_text("Traceback\nValueError: x is too large\nSet a variable.\n")
            return 1
        row = {"images_seen": 104 * job["seen"], "seconds": 1.0 * job["seen"]}
        with open(job["folder"].path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(row | {"train/loss": 1.0}) + "\n")
            file.write(json.dumps(row | self.measure(job["values"], job["seen"])) + "\n")
        job["folder"].last.write_bytes(b"")
        if job["seen"] < 8:
            return None
        job["folder"].write_metrics({"images_seen": 1, "best": None})
        job["folder"].update_record(state="finished")
        return 0


class Launching:
    """Plays the launcher and its machine: a folder, two places, jobs that need no composing."""

    def __init__(self, folder, jobs, resume=False, places=2):
        self.folder, self.jobs, self.resume, self.places = folder, jobs, resume, places

    def compose(self, overrides):
        return OmegaConf.create(JOB)

    composed = compose

    def open(self):
        self.sweep = SweepFolder(self.folder, ["-m"], resume=self.resume)
        return self.sweep

    def connected(self):
        return self

    def need_of(self, config):
        return need_of(config, 0)

    def pool(self, sweep, needs):
        return Pool(sweep, self.jobs, Slots([], self.places), None, 5)

    def say_how_to_go_on(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("genexp.pool.queue.time", clock)
    return clock


@pytest.fixture
def pictures():
    """Lets a test draw; the others only write tables."""
    return True


@pytest.fixture
def search(tmp_path, clock, request, monkeypatch):
    """Makes the search of a command; it shares `tmp_path/name` with a later one that continues it."""

    if "pictures" not in request.fixturenames:
        for name in ("write_plots", "importances"):
            monkeypatch.setattr(f"genexp.sweeps.study.report.{name}", lambda *_, name=name: [name])

    def make(name="sweep", resume=False, places=2, space=SPACE, metric="fd", direction="minimize", **settings):
        node = {"metric": metric, "direction": direction, "space": space}
        config = OmegaConf.create({"sweep": node, "hydra": {"runtime": {"choices": {"sweep": "mine"}}}})
        launching = Launching(tmp_path / name, Jobs(clock), resume, places)
        return Search(launching, config, {**SETTINGS, "study_name": None, **settings})

    return make


def run(search):
    """Run a search to its end and return the trials of its study, failures and all."""
    try:
        search.run([])
    except JobFailed:
        pass
    finally:
        search.sweep.release()
    return used(search.study.get_trials())


def rows(search):
    return list(csv.DictReader((search.sweep.path / "study.csv").open()))


def params(trials):
    return [(each.params["x"], each.params["kind"]) for each in trials]


def test_a_failing_trial_is_named_and_stops_nothing(search, capsys, pictures):
    found = search(n_trials=12)
    with pytest.raises(JobFailed) as caught:
        found.run([])
    trials = found.study.get_trials()
    failed = [each for each in trials if each.params["x"] > 0.9]
    assert failed
    assert [each.state.name for each in trials if each in failed] == ["FAIL"] * len(failed)
    assert len(trials) == 12
    named = f"{len(failed)} trials failed: trial {failed[0].number} (ValueError: x is too large, see "
    assert str(caught.value).startswith(named)
    for trial in trials:
        if trial not in failed:
            assert trial.value == pytest.approx(trial.params["x"] + 10 * (trial.params["kind"] == "bad") - 0.08)
    assert [row["state"] for row in rows(found)].count("failed") == len(failed)
    best = min((each for each in trials if each not in failed), key=lambda each: each.value)
    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[:3] == [str(best.number), f"{best.value:.4g}", f"{best.params['x']:.4g}"]
    assert out[1].endswith(f"{best.number:03d}")
    for name in ("history.png", "slices.png", "importance.png"):
        assert (found.sweep.path / name).read_bytes()[:4] == b"\x89PNG"


def test_places_are_filled_one_by_one_and_not_in_batches(search):
    found = search(n_trials=5, places=2)
    found.launching.jobs.waits["0"] = 24
    run(found)
    started = [key for key, _, _ in found.launching.jobs.started]
    assert started == ["0", "1", "2", "3", "4"]
    assert found.launching.jobs.clock.now == pytest.approx(8, abs=1)  # batches of two would take 12


def test_a_bad_trial_is_ended_early_and_told_as_pruned(search, capsys):
    pruner = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 150}
    found = search(n_trials=12, places=1, pruner=pruner, seed=3)
    trials = run(found)
    pruned = [each for each in trials if each.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        earlier = [each for each in trials[: trial.number] if each.state.name == "COMPLETE"]
        at_200 = sorted(each.intermediate_values[200] for each in earlier)
        assert trial.intermediate_values[200] >= at_200[len(at_200) // 2 - 1]
    assert len(found.failures) == sum(each.state.name == "FAIL" for each in trials)
    assert (str(pruned[0].number), signal.SIGTERM) in found.launching.jobs.signals
    for trial in pruned:
        assert max(trial.intermediate_values) == 200  # the schedule's step, not the 208 images of whole batches
        assert RunFolder(found.sweep.path / f"{trial.number:03d}").record["state"] == "pruned"
    assert {job.state for job in found.sweep.jobs if job.number in {each.number for each in pruned}} == {"pruned"}
    assert "at 200 images" in capsys.readouterr().err


def test_a_study_goes_on_towards_a_larger_total_as_if_it_had_never_ended(search):
    whole = params(run(search("whole", places=1, n_trials=7, sampler={"name": "tpe", "n_startup_trials": 2})))
    first = search("parts", places=1, n_trials=4, sampler={"name": "tpe", "n_startup_trials": 2})
    assert params(run(first)) == whole[:4]
    again = search("parts", resume=True, places=1, n_trials=7, sampler={"name": "tpe", "n_startup_trials": 2})
    assert params(run(again)) == whole
    assert [key for key, _, _ in again.launching.jobs.started] == ["4", "5", "6"]
    assert [job.number for job in again.sweep.jobs] == list(range(7))
    assert len(rows(again)) == 7
    done = search("parts", resume=True, n_trials=7)
    run(done)
    assert done.launching.jobs.started == []


def test_interrupted_trials_are_continued_as_the_same_trials(search):
    space = {"x": {"low": 0.0, "high": 0.8}, "kind": SPACE["kind"]}
    first = search(n_trials=4, places=2, space=space)
    first.launching.jobs.on_tick = lambda jobs: os.kill(os.getpid(), signal.SIGTERM) if jobs.clock.now == 1.0 else None
    with pytest.raises(SweepInterrupted):
        first.run([])
    first.sweep.release()
    assert [each.state.name for each in first.study.get_trials()] == ["RUNNING", "RUNNING"]
    again = search(n_trials=4, resume=True, places=2, space=space)
    again.launching.jobs.running_before = {key: values for key, values, _ in first.launching.jobs.started}
    trials = run(again)
    assert [each.number for each in trials] == [0, 1, 2, 3]
    assert [resumed for _, _, resumed in again.launching.jobs.started] == [True, True, False, False]
    assert {each.state.name for each in trials} <= {"COMPLETE", "FAIL"}
    assert max(trials[0].intermediate_values) == 800


def test_two_commands_share_a_total_and_have_folders_of_their_own(search, tmp_path):
    storage = str(tmp_path / "shared.journal")
    first = search("one", n_trials=3, storage=storage)
    run(first)
    second = search("two", n_trials=7, storage=storage)
    trials = run(second)
    assert [each.number for each in trials] == list(range(7))
    assert [path.parent.name for path in sorted((tmp_path / "one").glob("*/run.json"))] == ["000", "001", "002"]
    assert [path.parent.name for path in sorted((tmp_path / "two").glob("*/run.json"))] == ["003", "004", "005", "006"]
    assert len({each.params["x"] for each in trials}) == 7
    with pytest.raises(ValueError, match=r"study_name must be new for another question, got mine, which has metrics"):
        search("three", storage=storage, metric="kid").run([])


def test_who_comes_later_asks_the_same_question(search, tmp_path):
    shared = str(tmp_path / "together.journal")
    run(search("one", n_trials=2, storage=shared))

    def joining(name, changed):
        other = search(name, n_trials=3, storage=shared)
        other.launching.compose = other.launching.composed = lambda _: OmegaConf.create({**JOB, **changed})
        return other

    with pytest.raises(ValueError, match=r"training.max_images: 512 here, 800 in the study$"):
        joining("other", {"training": TRAINING | {"max_images": 512}}).run([])
    assert not (tmp_path / "other").exists()
    assert len(run(joining("elsewhere", {"threads": 4, "logger": {"name": "a"}, "paths": {"data": "/b"}}))) == 3


def test_a_study_of_an_earlier_version_is_joined(search, tmp_path):
    shared = str(tmp_path / "together.journal")
    first = search("one", n_trials=2, storage=shared)
    run(first)
    stated = {key: value for key, value in first.study.user_attrs["plan"].items() if key != "fixed"}
    first.study.set_user_attr("plan", stated)
    assert len(run(search("other", n_trials=3, storage=shared))) == 3


def test_a_difference_is_told_by_groups_and_paths_by_their_last_part():
    def fixed(*overrides):
        return fixed_of(compose("train", ["experiment=quickstart", *overrides], with_hydra=True))

    here = fixed("trainer=ddp_cpu", "trainer.precision=auto", "name=mine", "data.workers=3", "paths.data=/elsewhere")
    assert difference(here, fixed()) == ""
    told = difference(fixed("data=shapes", "training.max_images=512"), fixed())
    assert told.startswith("data: shapes here, digits in the study, ")
    assert "data." not in told
    assert "training.max_images: 512 here, 160000 in the study" in told
    mine, other = (
        {"values": fixed_of(OmegaConf.create({"data": {"root": root}}))["values"]} for root in ("/a/x", "/b/x")
    )
    assert mine == other == {"values": {"data.root": "x"}}


def test_processes_that_ask_in_one_moment_agree_which_trial_is_too_many(search, tmp_path, monkeypatch):
    found = search(
        n_trials=3, sampler="grid", space={"x": {"low": 0.0, "high": 0.8, "step": 0.1}, "kind": SPACE["kind"]}
    )
    trials = run(found)
    assert len(trials) == 3
    everything = found.study.get_trials()
    monkeypatch.setattr(
        "genexp.sweeps.study.storage.used",
        lambda trials, calls=[]: calls.append(1) or ([] if len(calls) == 1 else used(trials)),
    )
    assert ask(found.study, found.distributions, 3) is None
    after = found.study.get_trials()
    assert len(used(after)) == 3
    waiting = [sorted(each.system_attrs["fixed_params"].items()) for each in after if each.state.name == "WAITING"]
    before = [sorted(each.system_attrs["fixed_params"].items()) for each in everything if each.state.name == "WAITING"]
    assert sorted(waiting) == sorted(before)  # what was given up can be asked again


def test_a_grid_is_run_once_from_end_to_end(search):
    space = {"x": {"low": 0.0, "high": 0.2, "step": 0.1}, "kind": SPACE["kind"]}
    trials = run(search(n_trials=None, sampler="grid", space=space))
    assert sorted(params(trials)) == [(x, kind) for x in (0.0, 0.1, 0.2) for kind in ("bad", "good")]


def test_cmaes_learns_over_restarts(search):
    space = {"x": {"low": 0.0, "high": 0.8}, "y": {"low": 0.0, "high": 0.8}}
    found = search("one", n_trials=4, sampler="cmaes", space=space, places=1)
    found.launching.jobs.order = _with_kind(found.launching.jobs)
    run(found)
    again = search("one", resume=True, n_trials=16, sampler="cmaes", space=space, places=1)
    again.launching.jobs.order = _with_kind(again.launching.jobs)
    values = [each.value for each in run(again)]
    assert sum(values[-4:]) < sum(values[:4])


def _with_kind(jobs):
    order = jobs.order

    def typed(**fields):
        if "arguments" in fields:
            fields["arguments"] = [*fields["arguments"], "kind=good"]
        order(**fields)

    return typed


def test_several_metrics_have_a_front(search):
    found = search(n_trials=8, metric=["fd", "val/loss"], direction=["minimize", "maximize"], seed=1)
    found.launching.jobs.measure = lambda values, i: {"fd/digits@0a1b": values["x"] / i, "val/loss": values["x"] ** 2}
    trials = run(found)
    finished = [each for each in trials if each.state.name == "COMPLETE"]
    assert all(each.values == pytest.approx([each.params["x"] / 8, each.params["x"] ** 2]) for each in finished)
    assert {each.number for each in found.study.best_trials} == {each.number for each in finished}
    assert set(rows(found)[0]) >= {"fd", "val/loss", "x", "kind", "folder"}


def test_a_value_that_is_no_number_fails_the_trial_and_the_study_goes_on(search):
    found = search(n_trials=4, seed=0)
    found.launching.jobs.measure = lambda values, i: {"fd/a@0": math.nan if values["kind"] == "bad" else 1.0}
    trials = run(found)
    assert len(trials) == 4
    assert {each.params["kind"] for each in trials if each.state.name == "FAIL" and each.params["x"] <= 0.9} == {"bad"}
    assert any("fd was not a number" in each for each in found.failures)


def test_a_metric_that_no_job_measures_is_named_with_those_there_are(search):
    with pytest.raises(ValueError, match=r"sweep\.metric must be a value that jobs measure \(fd/digits\), got 'fdd'"):
        search(metric="fdd").run([])


def test_a_metric_that_fits_two_values_is_refused(search):
    found = search()
    found.launching.jobs.measure = lambda values, i: {"fd/a@0": 1.0, "fd/b@0": 1.0}
    with pytest.raises(ValueError, match="metric must fit one value of a job, got fd, which fits fd/a@0, fd/b@0"):
        found.run([])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_trials": 0}, "n_trials must be null or a number from 1, got 0"),
        ({"at": "first"}, "at must be auto, best or last, got 'first'"),
        ({"seed": -1}, "seed must be a number from 0, got -1"),
        ({"space": {"trainer.devices": {"choices": [1, 2]}}}, "space must have no key that says where jobs run"),
        ({"storage": "nothing://here"}, "storage must be a database that can be reached"),
        ({"storage": "postgres://ann@host/all"}, r"reached: .*; PostgreSQL's begin with postgresql\+psycopg://"),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "storage must be a database that can be reached"),
    ],
)
def test_wrong_settings_are_refused_before_any_job(search, settings, message):
    found = search(**settings)
    with pytest.raises(ValueError, match=message):
        found.run([])
    assert found.launching.jobs.started == []


def test_a_database_works_as_well(search, tmp_path):
    found = search(n_trials=2, storage=f"sqlite:///{tmp_path}/study.db", study_name="named")
    assert len(run(found)) == 2
    assert optuna.load_study(study_name="named", storage=f"sqlite:///{tmp_path}/study.db").trials[1].number == 1
    assert json.loads((tmp_path / "sweep/study.json").read_text())["study"] == "named"


def test_a_database_whose_tables_another_command_makes_in_this_moment_is_joined(search, tmp_path, monkeypatch):
    tried = []

    def racing(given, **settings):
        tried.append(given)
        if len(tried) == 1:
            raise IntegrityError("CREATE TABLE", None, Exception("pg_type_typname_nsp_index"))
        return optuna.storages.RDBStorage(given, **settings)

    monkeypatch.setattr("genexp.sweeps.study.storage.RDBStorage", racing)
    assert len(run(search(n_trials=1, storage=f"sqlite:///{tmp_path}/study.db"))) == 1
    assert len(tried) == 2


def test_values_of_other_features_are_not_compared_and_other_protocols_are_named(search, capsys):
    found = search(n_trials=6, seed=2)
    name = lambda values: "other@0" if values["kind"] == "bad" else f"digits@{int(10 * values['x'])}"  # noqa: E731
    found.launching.jobs.measure = lambda values, i: {f"fd/{name(values)}": 1.0}
    trials = run(found)
    kinds = {each.params["kind"] for each in trials if each.state.name == "COMPLETE"}
    assert len(kinds) == 1
    assert any("cannot be compared with fd/" in each for each in found.failures)
    assert kinds == {"bad"} or "values of several protocols: fd/digits@" in capsys.readouterr().err
