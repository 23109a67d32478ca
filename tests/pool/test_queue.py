"""The queue, its slots and its records, with a stand-in for the process that starts jobs."""

import json
import os
import signal
from pathlib import Path

import pytest

from genexp.config.messages import SweepInterrupted
from genexp.config.quoting import quoted, unquoted
from genexp.pool.queue import Pool, Task, ending
from genexp.pool.record import SweepFolder
from genexp.pool.slots import Need, Slots, make_slots, need_of, visible_gpus
from genexp.runs.run_folder import RunFolder


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Jobs:
    """Plays the process that starts jobs: a job runs for its scripted seconds, or until a signal that it heeds."""

    def __init__(self, clock, seconds, deaf=(), on_tick=lambda now: None):
        self.clock, self.seconds, self.deaf, self.on_tick = clock, seconds, deaf, on_tick
        self.running, self.log, self.most, self.environments = {}, [], 0, {}

    def order(self, **fields):
        if "start" in fields:
            key = fields["start"]
            self.environments[key] = fields["environment"]
            self.running[key] = (self.clock.now + self.seconds[key], fields["arguments"])
            self.most = max(self.most, len(self.running))
        else:
            self.log.append((round(self.clock.now), fields["job"], fields["signal"]))
            if fields["job"] not in self.deaf or fields["signal"] == signal.SIGKILL:
                self.running[fields["job"]] = (0.0, None)

    def answers(self, timeout):
        self.clock.now += timeout
        self.on_tick(self.clock.now)
        ended = [key for key, (when, _) in self.running.items() if when <= self.clock.now]
        answers = []
        for key in ended:
            _, arguments = self.running.pop(key)
            status = -signal.SIGTERM if arguments is None else 1 if "fail" in arguments else 0
            if status == 0:
                path = unquoted(arguments[-1].split("=", 1)[1])
                folder = RunFolder.claim(Path(path), {"state": "finished"})
                best = {"metric": "fd", "value": float(key), "images_seen": 1}
                folder.write_metrics({"images_seen": 1, "best": best})
            answers.append({"ended": key, "status": status, "cpu_seconds": 0.5})
        return answers


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("genexp.pool.queue.time", clock)
    return clock


def tasks_of(sweep, overrides, need=None):
    jobs = [sweep.job_for(each) for each in overrides]
    return [Task(job, f"{job.number} {job.overrides[0]}", need or Need("cpu", 1)) for job in jobs]


def test_a_queue_keeps_every_slot_busy_and_records_values(tmp_path, clock):
    sweep = SweepFolder(tmp_path / "sweep")
    jobs = Jobs(clock, {"0": 10, "1": 2, "2": 2, "3": 2, "4": 2})
    Pool(sweep, jobs, Slots([], 2), None, 5).run(tasks_of(sweep, [["a"], ["b"], ["c"], ["d"], ["e"]]))
    assert clock.now == pytest.approx(10, abs=1.5)  # batches of two would take 14
    assert jobs.most == 2
    record = json.loads((tmp_path / "sweep/sweep.json").read_text())
    assert [(job["state"], job["value"]) for job in record["jobs"]] == [("finished", float(i)) for i in range(5)]


def test_a_failed_job_leaves_the_others_alone_and_its_log_is_shown(tmp_path, clock, capsys):
    sweep = SweepFolder(tmp_path / "sweep")
    tasks = tasks_of(sweep, [["fail"], ["b"]])
    sweep.log(tasks[0].job).parent.mkdir()
    sweep.log(tasks[0].job).write_text("before\nthe reason\n")
    Pool(sweep, Jobs(clock, {"0": 1, "1": 3}), Slots([], 2), None, 5).run(tasks)
    assert [task.job.state for task in tasks] == ["failed", "finished"]
    shown = capsys.readouterr().err
    assert "failed    0 fail" in shown
    assert "the reason" in shown
    assert "exit status 1" in shown


def test_a_timeout_asks_and_then_kills(tmp_path, clock):
    sweep = SweepFolder(tmp_path / "sweep")
    tasks = tasks_of(sweep, [["a"], ["b"], ["c"]])
    jobs = Jobs(clock, {"0": 1000, "1": 1000, "2": 3}, deaf=("1",))
    Pool(sweep, jobs, Slots([], 3), 10, 5).run(tasks)
    assert [task.job.state for task in tasks] == ["timeout", "timeout", "finished"]
    assert jobs.log == [(10, "0", signal.SIGTERM), (10, "1", signal.SIGTERM), (15, "1", signal.SIGKILL)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_forwarded_and_nothing_more_is_started(tmp_path, clock, number, status):
    sweep = SweepFolder(tmp_path / "sweep")
    tasks = tasks_of(sweep, [["a"], ["b"], ["c"]])
    jobs = Jobs(clock, {"0": 1000, "1": 1000}, deaf=("1",))
    jobs.on_tick = lambda now: os.kill(os.getpid(), number) if now == 4 else None
    before = signal.getsignal(number)
    with pytest.raises(SweepInterrupted) as caught:
        Pool(sweep, jobs, Slots([], 2), None, 5).run(tasks)
    assert caught.value.code == status
    assert [task.job.state for task in tasks] == ["interrupted", "interrupted", "waiting"]
    assert jobs.log == [(4, "0", number), (4, "1", number), (9, "1", signal.SIGKILL)]
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait(tmp_path, clock):
    sweep = SweepFolder(tmp_path / "sweep")
    jobs = Jobs(clock, {"0": 1000}, deaf=("0",))
    jobs.on_tick = lambda now: os.kill(os.getpid(), signal.SIGINT) if now in (4, 6) else None
    with pytest.raises(SweepInterrupted):
        Pool(sweep, jobs, Slots([], 1), None, 500).run(tasks_of(sweep, [["a"]]))
    assert jobs.log == [(4, "0", signal.SIGINT), (6, "0", signal.SIGKILL)]


def test_jobs_of_several_gpus_get_different_ones_and_keep_their_order(tmp_path, clock):
    sweep = SweepFolder(tmp_path / "sweep")
    tasks = tasks_of(sweep, [["a"], ["b"], ["c"]], Need("gpu", 1))
    tasks[1].need = Need("gpu", 2)
    jobs = Jobs(clock, {"0": 2, "1": 2, "2": 2})
    Pool(sweep, jobs, Slots(["4", "7"], 1, gpu_threads=3), None, 5).run(tasks)
    visible = [jobs.environments[key]["CUDA_VISIBLE_DEVICES"] for key in "012"]
    assert visible[0] == "4"
    assert sorted(visible[1].split(",")) == ["4", "7"]
    assert visible[2] in ("4", "7")
    assert {each["OMP_NUM_THREADS"] for each in jobs.environments.values()} == {"3"}
    assert clock.now == pytest.approx(6, abs=1)


def test_slots_divide_gpus_and_cores(monkeypatch):
    monkeypatch.setattr("genexp.pool.slots.usable_cores", lambda: 8)
    cpu, gpu = Need("cpu", 1), Need("gpu", 1)
    assert (lambda s: (s.cpus, s.cpu_threads))(make_slots("auto", "auto", [cpu] * 3, [])) == (3, 2)
    assert (lambda s: (s.cpus, s.cpu_threads))(make_slots("auto", "auto", [cpu] * 99, [])) == (8, 1)
    assert (lambda s: (s.cpus, s.cpu_threads))(make_slots("auto", 4, [cpu] * 99, [])) == (2, 4)
    assert (lambda s: (s.cpus, s.cpu_threads))(make_slots(2, "auto", [cpu] * 99, [])) == (2, 4)
    assert make_slots("auto", "auto", [Need("cpu", 1, threads=4)] * 9, []).cpus == 2
    assert make_slots("auto", "auto", [gpu] * 9, ["0", "1"]).gpus == ["0", "1"]
    assert make_slots(4, "auto", [gpu] * 9, ["0", "1"]).gpus == ["0", "1", "0", "1"]
    assert make_slots([1], "auto", [gpu], ["0", "1"]).gpus == ["1"]
    assert make_slots("auto", "auto", [gpu], ["0", "1"]).gpu_threads == 4
    two = make_slots(4, "auto", [gpu], ["0", "1"])
    assert two.take(Need("gpu", 2)) == ["0", "1"]
    assert Slots([], 1).take(Need("cpu", 2)) == ["0"]  # processes on the CPU can share a core; GPUs are not shared


@pytest.mark.parametrize(
    ("slots", "threads", "message"),
    [
        ("all", "auto", "hydra.launcher.slots must be auto, a number from 1 or a list of GPUs, got 'all'"),
        (0, "auto", "hydra.launcher.slots must be auto, a number from 1 or a list of GPUs, got 0"),
        ("auto", 0, "hydra.launcher.threads must be auto or a number from 1, got 0"),
        ([5], "auto", "hydra.launcher.slots must name GPUs among 0, 1, got 5"),
    ],
)
def test_impossible_slots_are_refused(slots, threads, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        make_slots(slots, threads, [Need("gpu", 1)], ["0", "1"])


def test_more_gpus_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"trainer\.devices must be at most the 2 GPUs of the sweep, got 3"):
        Slots(["0", "1", "0"], 1).require_room(Need("gpu", 3))


def test_gpus_keep_the_names_that_the_environment_gives_them(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, MIG-abc")
    assert visible_gpus(2) == ["3", "MIG-abc"]
    assert visible_gpus(0) == []


def test_a_job_needs_what_its_trainer_says():
    from omegaconf import OmegaConf

    def need(accelerator, devices, gpus, threads="auto"):
        node = {"trainer": {"accelerator": accelerator, "devices": devices}, "threads": threads}
        return need_of(OmegaConf.create(node), gpus)

    assert need("auto", 1, 0) == Need("cpu", 1)
    assert need("auto", 1, 4) == Need("gpu", 1)
    assert need("gpu", -1, 4) == Need("gpu", 4)
    assert need("cpu", 2, 4, threads=3) == Need("cpu", 2, 3)
    assert need("gpu", [0, 2], 4) == Need("gpu", 3)
    assert need("cpu", "auto", 4) == Need("cpu", 1)


def test_a_sweep_folder_belongs_to_one_sweep_at_a_time(tmp_path, monkeypatch):
    first = SweepFolder(tmp_path / "one")
    with pytest.raises(FileExistsError, match=r"hydra\.sweep\.dir must be .* without a sweep, got .*sweep\.resume="):
        SweepFolder(tmp_path / "one")
    monkeypatch.setattr(SweepFolder._locked, "__defaults__", (0.2,))
    with pytest.raises(ValueError, match="a sweep must have ended before it goes on"):
        SweepFolder(tmp_path / "one", resume=True)
    first.release()
    assert SweepFolder(tmp_path / "one", resume=True).id == "one"
    with pytest.raises(FileNotFoundError, match=r"sweep\.resume must name the folder of a sweep"):
        SweepFolder(tmp_path / "two", resume=True)


def test_a_continued_sweep_takes_up_each_job_once_and_adds_new_ones(tmp_path):
    first = SweepFolder(tmp_path, ["-m", "seed=0,1", "hydra.sweep.dir=x"])
    assert [first.job_for([each]).number for each in ("seed=0", "seed=1", "seed=1")] == [0, 1, 2]
    first.save()
    first.release()
    again = SweepFolder(tmp_path, first.command, resume=True)
    assert again.command == ["-m", "seed=0,1"]
    assert [again.job_for([each]).number for each in ("seed=1", "seed=1", "seed=1", "seed=7")] == [1, 2, 3, 4]


CHANGES_NOTHING = ["logger=none", "logger.wandb.project=mine", "notes=why", "tags=[a]", "group=g", "threads=1"]


@pytest.mark.parametrize("override", [*CHANGES_NOTHING, "callbacks.progress.images=1", "~callbacks.progress"])
def test_a_finished_job_is_not_run_again_because_of_what_changes_no_value(tmp_path, override):
    from genexp.config.compose import compose, config_digest, resolved

    for number, (before, now) in enumerate(((["seed=0"], ["seed=0", override]), ([override, "seed=0"], ["seed=0"]))):
        first = SweepFolder(tmp_path / f"{number}")
        run = RunFolder.claim(first.path / first.job_for(before).folder, {"state": "finished"})
        run.write_metrics({"images_seen": 1, "values": {}})
        first.save()
        first.release()
        again = SweepFolder(first.path, resume=True)
        found = [again.job_for(now), again.job_for(now), again.job_for(["seed=1"])]
        assert [job.number for job in found] == [0, 1, 2]
        assert [again.finished(job) for job in found] == [True, False, False]
    digests = {config_digest(resolved(compose("train", ["model=vae", *each]))) for each in ([], [override])}
    assert len(digests) == 1


@pytest.mark.parametrize("override", ["name=other", "trainer.precision=bf16-mixed", "callbacks.evaluate.num=8"])
def test_what_decides_a_value_or_names_the_run_makes_another_job(tmp_path, override):
    first = SweepFolder(tmp_path)
    first.job_for(["seed=0"])
    first.save()
    first.release()
    assert SweepFolder(tmp_path, resume=True).job_for(["seed=0", override]).number == 1


def test_of_jobs_that_compute_the_same_each_keeps_its_own(tmp_path):
    first = SweepFolder(tmp_path)
    for logger in ("wandb", "csv"):
        first.job_for([f"logger={logger}"])
    first.save()
    first.release()
    again = SweepFolder(tmp_path, resume=True)
    assert [again.job_for([f"logger={logger}"]).number for logger in ("csv", "wandb")] == [1, 0]


def test_an_unfinished_job_goes_on_with_the_logger_that_is_asked_for_now(tmp_path):
    first = SweepFolder(tmp_path)
    first.job_for(["seed=0", "notes=why"])
    first.save()
    first.release()
    again = SweepFolder(tmp_path, resume=True)
    job = again.job_for(["seed=0", "notes=why", "logger=none"])
    assert again.arguments(job) == ["train", "seed=0", "notes=why", "logger=none", f"run_dir={tmp_path / '000'}"]
    folder = RunFolder.claim(tmp_path / "000", {"state": "running"})
    folder.last.write_bytes(b"")
    (folder.path / "overrides.yaml").write_text("[seed=0, notes=why]")
    assert again.arguments(job) == ["train", "logger=none", f"resume={tmp_path / '000'}"]


def test_a_job_is_started_continued_or_started_elsewhere_as_its_folder_says(tmp_path):
    sweep = SweepFolder(tmp_path, further=["--config-dir=mine"])
    job = sweep.job_for(["seed=0"])
    assert sweep.arguments(job) == ["train", "--config-dir=mine", "seed=0", f"run_dir={tmp_path / '000'}"]
    folder = RunFolder.claim(tmp_path / "000", {"state": "running"})
    assert sweep.arguments(job)[-1] == f"run_dir={tmp_path / '000_attempt2'}"
    job.folder = "000"
    folder.last.write_bytes(b"")
    assert sweep.arguments(job) == ["train", "--config-dir=mine", f"resume={tmp_path / '000'}"]
    assert not sweep.finished(job)
    (folder.path / "run.json").write_text("{")
    assert not sweep.finished(job)


@pytest.mark.parametrize("text", ["/plain/path-1", "/with space/a,b=c", "/it's/\\back", "/ünï"])
def test_paths_survive_as_overrides(text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_override(f"run_dir={quoted(Path(text))}").value()
    assert str(parsed) == text
    assert unquoted(quoted(Path(text))) == text


def test_endings_are_told_in_words():
    assert ending(3) == "exit status 3"
    assert ending(-9) == "killed by SIGKILL"
