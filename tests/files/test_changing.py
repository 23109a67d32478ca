"""A kill between any two steps of a resumed run's change of records: every reader sees all old or all new ones."""

import json
import os
import shutil

import pytest
from omegaconf import OmegaConf

from genexp.files import changing as switching
from genexp.files.changing import finish_change, write_together
from genexp.runs.records import read_config, read_overrides, read_record
from genexp.runs.run_folder import RunFolder
from genexp.runs.trust import seal
from recorded import CONFIG

OLD, NEW = ["model=vae"], ["model=vae", "seed=1"]


def texts(overrides, before=None):
    record = {"id": "a", "name": "x", "resumed": len(overrides), "seal": seal("a", overrides, before)}
    config = CONFIG | {"seed": len(overrides)}
    texts = json.dumps(record), OmegaConf.to_yaml(config), OmegaConf.to_yaml(overrides)
    return dict(zip(("run.json", "config.yaml", "overrides.yaml"), texts, strict=True))


@pytest.fixture
def run(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    for name, text in texts(OLD).items():
        (place / name).write_text(text)
    return place


def seen(run):
    """How many overrides each of the three records is of."""
    return read_record(run)["resumed"], read_config(run)["seed"], len(read_overrides(run))


def killed_at(step, act):
    """Whether a child process that carries out `act` dies at its n-th step that changes the disk."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(original):
            def dying(*arguments, **options):
                nonlocal count
                count += 1
                if count == step:
                    os._exit(9)
                return original(*arguments, **options)

            return dying

        for name in ("mkdir", "rename", "replace", "fsync", "rmdir", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_at_every_moment_of_a_kill_all_records_are_old_or_all_are_new(run, tmp_path):
    new, found, step = texts(NEW, read_record(run)["seal"]), [], 0
    while True:
        step += 1
        shutil.rmtree(tmp_path / "trial", ignore_errors=True)
        trial = shutil.copytree(run, tmp_path / "trial")
        if not killed_at(step, lambda trial=trial: write_together(trial, new)):
            break
        found.append(seen(trial))
        assert found[-1] in ((1, 1, 1), (2, 2, 2)), step
        RunFolder(trial).update_record(state="running")
        assert seen(trial) == found[-1]
        assert not (trial / switching.CHANGING).exists()
        expected = new if found[-1][0] == 2 else texts(OLD)
        assert (trial / "config.yaml").read_text() == expected["config.yaml"]
        write_together(trial, new)
        assert seen(trial) == (2, 2, 2)
    assert step > 8
    assert found == sorted(found)
    assert len(set(found)) == 2
    assert seen(trial) == (2, 2, 2)


def test_a_kill_while_a_change_is_finished_loses_nothing_either(run, tmp_path):
    new, step = texts(NEW, read_record(run)["seal"]), 0
    switching._lay_out(run, new)
    while True:
        step += 1
        shutil.rmtree(tmp_path / "trial", ignore_errors=True)
        trial = shutil.copytree(run, tmp_path / "trial")
        killed = killed_at(step, lambda trial=trial: finish_change(trial))
        assert seen(trial) == (2, 2, 2)
        if not killed:
            break
    assert step > 6


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_error_leaves_every_byte(call, run, monkeypatch):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    original, calls = switching.write_atomically, []

    def fails(path, content):
        calls.append(path)
        if len(calls) == call:
            raise OSError(28, "No space left on device", str(path))
        original(path, content)

    monkeypatch.setattr(switching, "write_atomically", fails)
    with pytest.raises(OSError, match="No space left"):
        write_together(run, texts(NEW, read_record(run)["seal"]))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
