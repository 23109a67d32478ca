"""One study of two commands in PostgreSQL, as on several machines; skipped where its server is not installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import optuna
import pytest
from test_study_command import QUESTION, SHORT, TOTAL, command

import tiny

BINARIES = Path(shutil.which("postgres") or "/nowhere/postgres").resolve().parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BINARIES / "initdb").is_file(), reason="PostgreSQL's server is not installed"),
]


@pytest.fixture(scope="module")
def address():
    """A server of this test alone, on a socket in a folder of its own: no port is open."""
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    folder = Path(tempfile.mkdtemp(prefix="genexp-postgres-"))
    as_other = {}
    if os.getuid() == 0:  # which the server refuses
        as_other = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    made = [BINARIES / "initdb", "-D", folder / "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_other)
    started = [BINARIES / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-F"]
    server = subprocess.Popen(started, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_other)
    try:
        ready = [BINARIES / "pg_isready", "-h", folder, "-U", "tests", "-d", "postgres", "-t", "20"]
        for _ in range(100):
            if subprocess.run(ready, capture_output=True).returncode == 0:
                break
            subprocess.run(["sleep", "0.1"])
        yield f"postgresql+psycopg://tests@/postgres?host={folder}"
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder)


def test_two_commands_share_one_study_in_a_data_base(address, tmp_path):
    (tmp_path / "mine/sweep").mkdir(parents=True)
    (tmp_path / "mine/sweep/tiny_vae.yaml").write_text(QUESTION)
    asked = [
        f"--config-dir={tmp_path}/mine",
        "sweep=tiny_vae",
        "hydra.sweeper.sampler=random",
        "hydra.launcher.slots=1",
    ]
    asked += [
        f"hydra.sweeper.n_trials={TOTAL}",
        f"hydra.sweeper.storage={address}",
        *tiny.overrides_for("vae"),
        *SHORT,
    ]
    both = [command(tmp_path / name / "outputs", *asked) for name in ("one", "other")]
    ended = [(*each.communicate(timeout=240), each.returncode) for each in both]
    assert [status for _, _, status in ended] == [0, 0], ended
    study = optuna.load_study(study_name="tiny_vae", storage=address)
    assert [(trial.number, trial.state.name) for trial in study.trials] == [(i, "COMPLETE") for i in range(TOTAL)]
    folders = [Path(trial.user_attrs["folder"]) for trial in study.trials]
    assert sorted(folders) == sorted(path.parent.resolve() for path in tmp_path.rglob("run.json"))


def test_a_data_base_that_is_not_there_leaves_no_folder(tmp_path):
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    (tmp_path / "mine/sweep").mkdir(parents=True)
    (tmp_path / "mine/sweep/tiny_vae.yaml").write_text(QUESTION)
    storage = "hydra.sweeper.storage=postgresql+psycopg://ann@127.0.0.1:9/study"
    asked = [f"--config-dir={tmp_path}/mine", "sweep=tiny_vae", "hydra.sweeper.n_trials=1", storage]
    refused = command(tmp_path / "outputs", *asked)
    _, err = refused.communicate(timeout=100)
    assert refused.returncode == 1
    assert "hydra.sweeper.storage must be a database that can be reached" in err.strip().splitlines()[-1]
    assert not list((tmp_path / "outputs").glob("multirun/*"))
