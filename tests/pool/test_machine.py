"""The places of a machine: one process starts the jobs of all its sweeps, and every pool has room for its jobs."""

from typing import ClassVar

import pytest
from omegaconf import OmegaConf

from genexp.pool import machine as module
from genexp.pool.machine import Machine
from genexp.pool.record import SweepFolder
from genexp.pool.slots import Need


class Connection:
    """Plays the process that starts jobs, on a machine of two GPUs."""

    opened: ClassVar[list] = []

    def __init__(self, log, preload, grace, lock, environment):
        self.given, self.closed = (log, preload, grace, lock), 0
        self.opened.append(self)

    def ready(self):
        return {"gpus": 2}

    def close(self):
        self.closed += 1


@pytest.fixture
def opened(monkeypatch):
    monkeypatch.setattr(module, "Connection", Connection)
    monkeypatch.setattr(Connection, "opened", [])
    monkeypatch.setattr("genexp.pool.slots.usable_cores", lambda: 6)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Connection.opened


def test_one_process_starts_the_jobs_of_all_sweeps_and_is_ended_once(opened, tmp_path):
    machine = Machine("auto", "auto", None, 7.0, preload=False)
    for lock in (3, 4):
        machine.connect(tmp_path / "server.log", lock)
    assert [each.given for each in opened] == [(tmp_path / "server.log", False, 7.0, 3)]
    machine.close()
    machine.close()
    assert opened[0].closed == 1


def test_places_and_needs_are_those_of_the_machine_once_it_is_known(opened, tmp_path):
    machine = Machine(OmegaConf.create([1]), "auto", None, 1.0)
    assert (machine.need, Machine(4, "auto", None, 1.0).places) == (Need("cpu", 1), 4)
    machine.connect(tmp_path / "server.log", 3)
    config = OmegaConf.create({"trainer": {"accelerator": "auto", "devices": -1}, "threads": "auto"})
    assert (machine.gpus, machine.need, machine.places) == (["0", "1"], Need("gpu", 1), 1)
    assert machine.need_of(config) == Need("gpu", 2)
    machine.close()


def test_a_pool_has_room_for_every_job_or_is_refused(opened, tmp_path):
    machine = Machine(4, "auto", 60, 1.0)
    machine.connect(tmp_path / "server.log", 3)
    sweep = SweepFolder(tmp_path / "sweep")
    pool = machine.pool(sweep, [Need("gpu", 2), Need("gpu", 1)])
    assert pool.slots.gpus == ["0", "1", "0", "1"]
    assert (pool.connection, pool.timeout, pool.grace) == (opened[0], 60, 1.0)
    with pytest.raises(ValueError, match=r"trainer\.devices must be at most the 2 GPUs of the sweep, got 3"):
        machine.pool(sweep, [Need("gpu", 1), Need("gpu", 3)])
    machine.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": 0}, r"hydra\.launcher\.timeout must be null or seconds above 0, got 0"),
        ({"preload": "often"}, r"hydra\.launcher\.preload must be auto, true or false, got 'often'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_started(opened, settings, message):
    with pytest.raises(ValueError, match=message):
        Machine(**{"slots": "auto", "threads": "auto", "timeout": None, "grace": 1.0, **settings})
    assert opened == []


def test_jobs_share_the_cores_that_were_idle_before_the_first_of_them(opened, tmp_path, monkeypatch):
    module._idle_at_start.cache_clear()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("genexp.hardware.usable_cores", lambda: 6)
    monkeypatch.setattr("os.getloadavg", lambda: (3.2, 0.0, 0.0))
    machine = Machine(1, "auto", None, 1.0)
    machine.connect(tmp_path / "server.log", 3)
    machine.gpus = []
    sweep, need = SweepFolder(tmp_path / "sweep"), Need("cpu", 1)
    assert machine.pool(sweep, [need]).slots.threads(need) == 3
    monkeypatch.setattr("os.getloadavg", lambda: (6.0, 0.0, 0.0))  # by now its own jobs
    assert Machine(1, "auto", None, 1.0).idle == 3
    module._idle_at_start.cache_clear()
    busy = Machine(2, "auto", None, 1.0)
    assert busy.idle == 1
    busy.connect(tmp_path / "server.log", 3)
    busy.gpus = []
    slots = busy.pool(sweep, [need] * 2).slots
    assert (slots.cpus, slots.threads(need)) == (2, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    given = [Machine(1, threads, None, 1.0).threads for threads in ("auto", 2)]
    assert given == [5, 2]
    module._idle_at_start.cache_clear()
    for each in (machine, busy):
        each.close()
