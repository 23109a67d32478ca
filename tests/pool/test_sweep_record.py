"""The record of a sweep where several processes want it, or one was killed while it began."""

import json
import threading

import pytest

import damage
from genexp.pool import record
from genexp.pool.record import SweepFolder, read_record, recorded_jobs
from genexp.runs.trust import TRUST


@pytest.mark.parametrize("resume", [True, None])
def test_who_has_waited_for_a_sweep_knows_what_came_of_it_meanwhile(tmp_path, monkeypatch, resume):
    first = SweepFolder(tmp_path)
    early = first.job_for(["seed=0"])
    first.save()

    def end_the_first(seconds):
        early.state, early.value = "finished", 0.5
        first.job_for(["seed=1"])
        first.save()
        first.release()

    monkeypatch.setattr(record.time, "sleep", end_the_first)
    second = SweepFolder(tmp_path, resume=resume)
    assert [(job.overrides, job.state, job.value) for job in second.jobs] == [
        (["seed=0"], "finished", 0.5),
        (["seed=1"], "waiting", None),
    ]
    assert recorded_jobs(tmp_path) == second.jobs


def test_of_processes_that_add_to_one_sweep_at_once_none_loses_the_jobs_of_another(tmp_path, monkeypatch):
    sleep = record.time.sleep
    monkeypatch.setattr(record.time, "sleep", lambda seconds: sleep(0.001))

    def add(number):
        sweep = SweepFolder(tmp_path / "sweep", resume=None)
        sweep.job_for([f"seed={number}"])
        sweep.save()
        sweep.release()

    _at_once(add, 12)
    jobs = recorded_jobs(tmp_path / "sweep")
    assert sorted(job.overrides[0] for job in jobs) == sorted(f"seed={i}" for i in range(12))
    assert [job.number for job in jobs] == list(range(12))


def test_of_processes_that_begin_a_sweep_in_one_folder_one_may(tmp_path):
    begun, refused = [], []

    def begin(number):
        try:
            begun.append(SweepFolder(tmp_path / "sweep"))
        except FileExistsError as error:
            refused.append(str(error))

    _at_once(begin, 8)
    assert (len(begun), len(refused)) == (1, 7)
    assert all("hydra.sweep.dir must be a folder without a sweep" in each for each in refused)


def _at_once(call, count):
    """Each call has a descriptor of its own, which is what the lock goes by."""
    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)


@pytest.mark.parametrize("resume", [False, None])
def test_a_sweep_that_was_killed_before_it_had_a_record_can_be_begun_again(tmp_path, monkeypatch, resume):
    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(SweepFolder, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            SweepFolder(tmp_path)
    again = SweepFolder(tmp_path, ["-m"], resume=resume)
    assert read_record(tmp_path)["command"] == again.command == ["-m"]


@pytest.mark.parametrize("resume", [False, None])
def test_the_empty_record_of_an_earlier_version_is_none(tmp_path, resume):
    (tmp_path / "sweep.json").touch()
    assert recorded_jobs(tmp_path) == []
    with pytest.raises(
        FileNotFoundError, match=r"sweep\.resume must name .* \(an empty sweep\.json there: nothing had begun"
    ):
        SweepFolder(tmp_path, resume=True)
    assert SweepFolder(tmp_path, resume=resume).jobs == []
    assert json.loads((tmp_path / "sweep.json").read_text())["id"] == tmp_path.name


def test_an_empty_record_beside_jobs_is_damaged(tmp_path):
    (tmp_path / "sweep.json").touch()
    (tmp_path / "000").mkdir()
    for resume in (True, None):
        with pytest.raises(ValueError, match=r"sweep\.json of the sweep .* cannot be read"):
            SweepFolder(tmp_path, resume=resume)
    with pytest.raises(FileExistsError):
        SweepFolder(tmp_path)
    assert (tmp_path / "sweep.json").read_text() == ""


JOB = {"number": 0, "overrides": ["seed=0"], "folder": "000"}
RECORD = {"id": "a", "started": "2026", "command": ["-m", "seed=0,1"], "jobs": [JOB]}


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "3", "null", "nan", "{", "{}", '"text"', "[" * 100000),
        *(json.dumps({key: each for key, each in RECORD.items() if key != left_out}) for left_out in RECORD),
        *(json.dumps({**RECORD, key: 3}) for key in RECORD),
        *(json.dumps({**RECORD, "jobs": [{**JOB, key: {}}]}) for key in (*JOB, "state", "value", "attempts", "no")),
        *(json.dumps({**RECORD, "jobs": [{**JOB, "folder": each}]}) for each in ("/x", "../x")),
        json.dumps({**RECORD, "command": [3]}),
    ],
)
def test_every_shape_that_no_sweep_writes_is_told_with_the_file(content, tmp_path):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"sweep\.json of the sweep .* (cannot be read|must be as genexp writes it|must hold)"
    ) as raised:
        read_record(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_strangers_sweep_is_not_run_again_without_a_word(tmp_path, monkeypatch, capsys):
    from genexp.commands.typed_arguments import overrides_of

    sweep = SweepFolder(tmp_path, ["-m", "seed=0,1"])
    sweep.save()
    sweep.release()
    again = overrides_of("train", [f"sweep.resume={tmp_path}"])
    assert again[:2] == ["-m", "seed=0,1"]
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config of another"))
    with pytest.raises(
        ValueError, match=r"must name a sweep of this user, .* would run: train -m seed=0,1; .*trust=true"
    ):
        overrides_of("train", [f"sweep.resume={tmp_path}"])
    capsys.readouterr()
    assert overrides_of("train", [f"sweep.resume={tmp_path}", "trust=true"]) == [*again, "hydra.launcher.trust=true"]
    assert capsys.readouterr().err == "trusted     what sweep.json runs: train -m seed=0,1\n"
    assert TRUST not in overrides_of("train", [f"sweep.resume={tmp_path}", "seed=0,1", "logger=none"])
    typed = overrides_of("train", [f"sweep.resume={tmp_path}", "seed=0,1", "trust=true"])
    assert typed[-1] == "hydra.launcher.trust=true"
    assert TRUST not in typed


@pytest.mark.parametrize(
    "override",
    [
        *("hydra.launcher.setup=[touch x]", "+hydra.launcher.additional_parameters={wrap: x}", "hydra.run.dir=x"),
        *("hydra.sweeper.storage=mysql://elsewhere/x", "+hydra.callbacks.x._target_=a.B", "--config-dir=x", "-cd", "x"),
        *("hydra/job_logging=x", "hydra.searchpath=[file:///x]", "hydra.sweeper._target_=a.B", "hydra/launcher=../x"),
        *("logger.wandb.settings.base_url=http://127.0.0.1:9", "notes=${oc.env:HOME}", "data.source.root=/elsewhere"),
        *("hydra.launcher.slots=[${oc.env:HOME}]", "paths.outputs=x", "++hydra.launcher._target_=a.B"),
    ],
)
def test_some_of_a_strangers_command_never_acts(override, tmp_path, monkeypatch):
    from genexp.commands.typed_arguments import overrides_of

    SweepFolder(tmp_path, ["-m", "seed=0,1", override]).release()
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config of another"))
    with pytest.raises(
        ValueError, match=r"^sweep\.json of a sweep that this user did not write must hold no"
    ) as raised:
        overrides_of("train", [f"sweep.resume={tmp_path}", "trust=true"])
    assert override in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_says_how_a_sweep_is_run_may_stand_in_a_strangers_command(tmp_path, monkeypatch):
    from genexp.commands.typed_arguments import overrides_of

    command = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=5", "sweep=gan_stability", "launcher=pool"]
    command += ["hydra.launcher.slots=[0,1]", "model.network.width=8,16", "logger=none", "name='007'"]
    SweepFolder(tmp_path, command).release()
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config of another"))
    assert overrides_of("train", [f"sweep.resume={tmp_path}", "trust=true"])[: len(command)] == command


def test_trust_is_handed_to_the_jobs_that_continue_a_run_and_is_not_recorded(tmp_path):
    first = SweepFolder(tmp_path, ["-m", "seed=0,1"])
    job, other = first.job_for(["seed=0"]), first.job_for(["seed=1"])
    (tmp_path / "000" / "checkpoints").mkdir(parents=True)
    (tmp_path / "000" / "checkpoints" / "last.ckpt").write_text("")
    first.save()
    first.release()
    command = ["-m", "seed=0,1", "hydra.launcher.resume=true", "hydra.launcher.trust=true"]
    again = SweepFolder(tmp_path, command, resume=True, trust=True)
    assert again.arguments(job) == ["train", "trust=true", f"resume={tmp_path}/000"]
    assert TRUST not in again.arguments(other)
    assert again.command == ["-m", "seed=0,1"]


def test_what_another_user_handed_to_a_cluster_is_not_read(tmp_path, monkeypatch):
    first = SweepFolder(tmp_path, ["-m", "seed=0,1"])
    first.job_for(["seed=0"]).submitted = "17_0"
    first.save()
    first.release()
    ours = SweepFolder(tmp_path, ["-m", "seed=0,1"], resume=True)
    assert ours.jobs[0].submitted == "17_0"
    ours.release()
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config of another"))
    assert SweepFolder(tmp_path, ["-m", "seed=0,1"], resume=True).jobs[0].submitted is None


@pytest.mark.parametrize("how", [*damage.ANYWHERE, *damage.shapes()])
def test_a_damaged_record_ends_what_is_typed_in_one_line(how, tmp_path, capsys):
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(RECORD))
    (tmp_path / "000").mkdir()
    {**damage.ANYWHERE, **damage.shapes()}[how](path)
    before = damage.fingerprint(tmp_path)
    status, said = damage.answer(["train", f"sweep.resume={tmp_path}"], capsys)
    assert damage.faults(status, said, ["sweep.json"], True, damage.fingerprint(tmp_path) != before, "train") == []
