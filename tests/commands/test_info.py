import re
import subprocess
import sys

import pytest

from genexp.commands import info
from genexp.config.compose import conf_dir
from genexp.hardware import chosen_threads, cpu_features
from genexp.runs.provenance import git_state, versions


def test_info_says_versions_devices_and_places(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GENEXP_OUTPUTS", str(tmp_path))
    assert info.main([]) == 0
    out = capsys.readouterr().out
    for word in (
        "torch",
        "lightning",
        "hydra-core",
        "processor",
        "bf16 units",
        "precision",
        "configuration",
        str(tmp_path),
    ):
        assert word in out
    assert "not there yet" in out
    listed = dict(re.findall(r"^(\w+)=\s+(.*)$", out, re.MULTILINE))
    models = {path.stem for path in (conf_dir() / "model").glob("*.yaml") if path.stem[0] != "_"}
    assert models == set(listed["model"].split(", "))
    assert "cfg/digits" in listed["experiment"]


@pytest.mark.parametrize(("threads", "text"), [(1, ", 1 thread\n"), (3, ", 3 threads\n")])
def test_info_counts_in_words(threads, text, capsys, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    info.main([])
    assert text in capsys.readouterr().out


def test_info_knows_every_metric_from_its_file_and_class_alone(capsys):
    assert info.main(["metrics"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows.keys() == {path.stem for path in (conf_dir() / "metrics").glob("*.yaml")} - {"none"}
    assert "nll (lower), bits_per_dim (lower)" in rows["likelihood"]
    assert "the model" in rows["likelihood"]
    assert "Frechet distance over the features" in rows["fd"]


def test_info_takes_no_other_arguments(capsys):
    assert info.main(["verbose=true"]) == 2
    told = capsys.readouterr()
    assert "usage: genexp info" in told.out
    assert "genexp info: tells of metrics, a picture or a file of weights, got verbose=true" in told.err


def test_threads_are_what_was_asked_for_else_what_is_idle(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    cores = cpu_features()["cores"]
    assert chosen_threads(3) == 3
    for load, expected in ((0.0, cores), (100.0, 1)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, load, load))
        assert chosen_threads("auto") == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert chosen_threads("auto") == 5


def test_provenance_outside_a_checkout_has_no_git_state(tmp_path):
    assert git_state(tmp_path) is None
    assert versions()["torch"]


def test_who_stops_reading_ends_a_command_without_a_traceback():
    """As `genexp info runs | head -1` does."""
    command = [sys.executable, "-m", "genexp", "info", "runs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as begun:
        begun.stdout.close()
        told = begun.stderr.read()
    assert begun.returncode == 141
    assert told.splitlines() == ["genexp info: tells of metrics, a picture or a file of weights, got runs"]
