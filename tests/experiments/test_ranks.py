"""The processes of one run: none goes on without the one that began them, and one that dies is named in one line."""

import os
import select
import signal
import subprocess
import sys

import pytest

import damage
import tiny
from dying import forked
from genexp.callbacks.averaging import Averaging
from genexp.callbacks.cadence import LogTerms
from genexp.config.messages import RankFailed
from recorded import wandb_records

pytestmark = pytest.mark.xdist_group("distributed")  # two processes a test: one test at a time
PATIENCE = 20.0  # seconds within which a process that has to end must have ended; ranks waited 40 s for one another
TWO = [*tiny.overrides_for("vae"), "trainer=ddp_cpu", "trainer.precision=32-true", "trainer.limit_val_batches=1"]
AS_PROGRAMS = "trainer.strategy=ddp"


def at_batch(number, rank, what, monkeypatch):
    """Let one rank call `what` after its batch of that number."""
    original, seen = LogTerms.on_train_batch_end, []

    def on_train_batch_end(self, trainer, pl_module, *arguments):
        original(self, trainer, pl_module, *arguments)
        seen.append(number)
        if len(seen) == number and trainer.global_rank == rank:
            what()

    monkeypatch.setattr(LogTerms, "on_train_batch_end", on_train_batch_end)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise ValueError("shape must be square, got 3")


def test_ranks_end_with_the_process_that_began_them_and_hold_the_folder_until_then(tmp_path, monkeypatch):
    straight = tiny.run([*TWO, f"paths.outputs={tmp_path / 'straight'}"])
    overrides = [*TWO, f"paths.outputs={tmp_path / 'killed'}"]
    reading, writing = os.pipe()  # read to its end once no process of the run is left to write

    def work():
        launchers = "lightning.pytorch.strategies.launchers.multiprocessing"
        monkeypatch.setattr(f"{launchers}._check_bad_cuda_fork", lambda: None)  # there is no CUDA to be confused
        at_batch(4, 0, lambda: os.kill(os.getppid(), signal.SIGKILL), monkeypatch)
        tiny.run(overrides)

    status = forked(work)
    os.close(writing)
    assert os.WIFSIGNALED(status), status
    died = tiny.newest(tmp_path / "killed")
    held = died.is_running
    assert held or select.select([reading], [], [], 0)[0], "the folder is free while ranks still train"
    assert select.select([reading], [], [], PATIENCE)[0], "ranks go on without the process that began them"
    os.close(reading)
    resumed = tiny.run([*overrides, "resume=auto"])
    assert resumed.path == died.path
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in run.history()] for run in (straight, resumed)]
    assert rows[0] == rows[1]
    first, second = (tiny.checkpoint(run) for run in (straight, resumed))
    assert tiny.differences(first["state_dict"], second["state_dict"]) == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (kill_itself, r"^rank 1 of 2 \(process \d+\) was killed by SIGKILL"),
        (fail, "^rank 1 of 2: shape must be square"),
    ],
)
def test_a_rank_that_dies_is_named(what, line, tmp_path, monkeypatch, capfd):
    at_batch(4, 1, what, monkeypatch)
    with pytest.raises(RankFailed, match=line):
        tiny.run([*TWO, f"paths.outputs={tmp_path}"])
    folder = tiny.newest(tmp_path)
    assert folder.record["state"] == "failed"
    assert folder.record["error"].startswith("RankFailed: rank 1 of 2")
    assert not folder.is_running
    assert "Traceback" not in capfd.readouterr().err


def test_a_rank_that_fails_closes_its_loggers_and_a_resume_that_fails_in_it_changes_nothing(tmp_path, monkeypatch):
    """The moment is one that no trial on copies can know of: a rank restores what it goes on from."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    typed = [*TWO, "logger=[tensorboard,wandb]", f"paths.outputs={tmp_path}"]
    at_batch(8, 0, fail, monkeypatch)
    with pytest.raises(RankFailed, match=r"^rank 0 of 2: shape must be square"):
        tiny.run(typed)
    folder = tiny.newest(tmp_path)
    assert [each["exit"]["exit_code"] for each in wandb_records(folder) if each["type"] == "exit"] == [1]
    events = events.EventAccumulator(str(folder.path / "tensorboard")).Reload()
    logged = [int(row["images_seen"]) for row in folder.history() if "train/loss" in row]
    assert [event.step for event in events.Scalars("train/loss")] == logged
    monkeypatch.setattr(Averaging, "on_fit_start", lambda *_: fail())
    before = damage.fingerprint(folder.path)
    with pytest.raises(RankFailed, match=r"^rank [01] of 2: shape must be square"):
        tiny.run([*typed, f"resume={folder.path}"])
    assert damage.fingerprint(folder.path) == before


def test_an_error_that_is_no_persons_fault_keeps_its_trace(tmp_path, monkeypatch):
    at_batch(2, 1, lambda: [].pop(), monkeypatch)
    with pytest.raises(Exception, match="IndexError: pop from empty list") as caught:
        tiny.run([*TWO, f"paths.outputs={tmp_path}"])
    assert not isinstance(caught.value, RankFailed)


PROGRAM = """
import os, signal
from genexp.callbacks.cadence import LogTerms
original, seen = LogTerms.on_train_batch_end, []
def on_train_batch_end(self, trainer, pl_module, *arguments):
    original(self, trainer, pl_module, *arguments)
    seen.append(1)
    if len(seen) == 4 and trainer.global_rank == int(os.environ["DYING"]):
        os.kill(os.getpid(), signal.SIGKILL)
LogTerms.on_train_batch_end = on_train_batch_end
from genexp.__main__ import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_that_are_programs_end_together(rank, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", "train", *TWO, AS_PROGRAMS, f"paths.outputs={tmp_path / 'outputs'}"]
    environment = os.environ | {"DYING": str(rank), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    _, error = process.communicate(timeout=300)  # to the end of what all of them say
    folder = tiny.newest(tmp_path / "outputs")
    assert not folder.is_running
    if rank == 0:
        assert process.returncode == -signal.SIGKILL
    else:
        assert "Traceback" not in error
        assert process.returncode == 1
        assert "genexp train: rank 1 of 2" in error.splitlines()[-1]
        assert folder.record["state"] == "failed"
