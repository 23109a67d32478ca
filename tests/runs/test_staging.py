"""Results come as a whole, and what killed commands have left goes, but not what others are writing."""

import os
import signal
import time

import pytest

from dying import forked
from genexp.files.partial import A_DAY, partial_path, remove_abandoned
from genexp.runs.staging import staged


def killed_while_writing(folder):
    def work():
        with staged(folder, ["grid.png"], "samples.json") as partial:
            (partial / "grid.png").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.WIFSIGNALED(forked(work))


def test_what_a_killed_command_left_goes_with_the_next(tmp_path):
    folder = tmp_path / "samples"
    killed_while_writing(folder)
    (left,) = tmp_path.glob(".samples.*.partial")
    with staged(folder, ["grid.png"], "samples.json") as partial:
        assert not left.exists()
        (partial / "samples.json").write_text("{}")
    assert {path.name for path in tmp_path.rglob("*")} == {"samples", "samples.json"}


def test_what_another_command_is_writing_stays(tmp_path):
    folder = tmp_path / "samples"
    reading, writing = os.pipe()

    def work():
        with staged(folder, ["grid.png"], "samples.json"):
            os.write(writing, b"in")
            signal.pause()

    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    try:
        assert os.read(reading, 2) == b"in"
        (other,) = tmp_path.glob(".samples.*.partial")
        with staged(folder, ["grid.png"], "samples.json") as partial:
            (partial / "samples.json").write_text("{}")
        assert other.is_dir()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_nobody_can_still_be_writing_goes(tmp_path, is_folder):
    old, new, other = (partial_path(tmp_path / name).with_suffix(f".{n}.partial") for name, n in zip("aab", "123"))
    for each in (old, new, other):
        each.mkdir() if is_folder else each.write_text("half")
    for each in (old, other):
        os.utime(each, (time.time() - A_DAY - 1,) * 2)
    remove_abandoned(tmp_path / "a")
    assert sorted(tmp_path.iterdir()) == sorted([new, other])
