"""Two trainings that begin at once share the cores, or say what it costs; one alone is as ever."""

import os
from pathlib import Path

import pytest

from genexp.files import locks
from genexp.training.runs_beside import Alone, Neighbours, neighbours_of


@pytest.fixture
def four_cores(monkeypatch, tmp_path):
    monkeypatch.setattr("genexp.training.runs_beside.usable_cores", lambda: 4)
    monkeypatch.setattr("genexp.training.runs_beside.platform.node", lambda: "here")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path / "trainings"


def settings(folder, threads=4, accelerator="cpu"):
    return {"paths": {"cache": str(folder.parent)}, "trainer": {"accelerator": accelerator}, "threads": threads}


def another(folder, threads, name="here-1"):
    """Stands for a process that trains."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(str(threads))
    assert locks.take(path)
    return path


def begun(plain, auto=True):
    place = neighbours_of(plain)
    with place.joined(plain, auto):
        place.settle(plain["threads"])
    return plain["threads"]


def test_one_alone_has_what_it_had_and_leaves_nothing(four_cores, capsys):
    assert begun(settings(four_cores)) == 4
    assert capsys.readouterr().err == ""
    assert sorted(os.listdir(four_cores)) == ["lock"]


@pytest.mark.parametrize(("other", "left", "told"), [(1, 3, False), (3, 1, False), (4, 1, True), (9, 1, True)])
def test_a_number_that_nobody_chose_leaves_others_theirs(four_cores, capsys, other, left, told):
    path = another(four_cores, other)
    try:
        assert begun(settings(four_cores)) == left
        assert (f"threads     {left} here and {other} of other" in capsys.readouterr().err) == told
        assert begun(settings(four_cores, 2)) == min(left, 2)
    finally:
        locks.give_back(path)


@pytest.mark.parametrize(("threads", "advice"), [(2, "other, or each with threads=1\n"), (1, "after the other\n")])
def test_nobody_is_told_to_type_what_was_typed(four_cores, capsys, threads, advice):
    path = another(four_cores, 4)
    try:
        begun(settings(four_cores, threads), auto=False)
        assert capsys.readouterr().err.endswith(advice)
    finally:
        locks.give_back(path)


def test_a_chosen_number_is_kept_and_its_cost_told(four_cores, capsys, monkeypatch):
    path = another(four_cores, 3)
    try:
        assert begun(settings(four_cores), auto=False) == 4
        assert "more than the 4 cores of this machine" in capsys.readouterr().err
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert begun(settings(four_cores)) == 4
    finally:
        locks.give_back(path)


@pytest.mark.parametrize("name", ["there-1", "here-2-1"])
def test_processes_that_are_gone_and_other_machines_do_not_count(four_cores, name):
    locks.give_back(another(four_cores, 4))
    elsewhere = another(four_cores, 4, name)
    try:
        assert begun(settings(four_cores)) == 4
        assert sorted(os.listdir(four_cores)) == sorted(["lock", name])
    finally:
        locks.give_back(elsewhere)


def test_one_that_began_before_is_seen_by_the_next(four_cores):
    first, second = settings(four_cores), settings(four_cores)
    place = neighbours_of(first)
    with place.joined(first, True):
        late = Neighbours(four_cores)
        late._own = four_cores / "here-2"
        with late.joined(second, True):
            assert (first["threads"], second["threads"]) == (4, 1)
            assert place.taken() == 1


def test_other_devices_and_a_cache_that_cannot_be_written_are_alone(four_cores, tmp_path):
    assert isinstance(neighbours_of(settings(four_cores, accelerator="gpu")), Alone)
    Path(tmp_path / "file").write_text("")
    assert isinstance(neighbours_of(settings(tmp_path / "file" / "trainings")), Alone)
    assert begun(settings(tmp_path / "file" / "trainings")) == 4
