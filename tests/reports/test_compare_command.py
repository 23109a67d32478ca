"""genexp compare as it is typed: on real runs, on made-up ones, without torch."""

import csv
import json
import subprocess
import sys

import pytest
from stored_runs import FD, PROTOCOL, write_run

import forking
import tiny


def genexp(*arguments, cwd, program=None):
    command = [*(program or forking.genexp()), "compare", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_runs_become_a_table_and_five_files_without_torch(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / "outputs", f"a{seed}", {FD: 1.0 + seed}, seed=seed)
    write_run(tmp_path / "outputs", "b", {FD: 5.0}, model__width=32)
    told = [sys.executable, "-X", "importtime", "-m", "genexp"]  # a fresh process, which says what it imports
    done = genexp("runs=outputs/**", f"paths.outputs={tmp_path}/outputs", cwd=tmp_path, program=told)
    assert done.returncode == 0, done.stderr
    assert "1.500 ± 0.707 *" in done.stdout
    assert "3 in 2 rows (3 finished)" in done.stdout
    assert {path.name for path in (tmp_path / "outputs/compare").iterdir()} == {
        f"compare.{suffix}" for suffix in ("csv", "md", "tex", "json", "html")
    }
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "yaml" in loaded
    assert not loaded & {"torch", "lightning", "torchvision", "wandb", "numpy"}


def test_one_debug_run_among_others_changes_nothing(tmp_path):
    """What `genexp compare runs='outputs/**'` finds after a day's work."""
    for width in (16, 32):
        write_run(tmp_path / "outputs", f"w{width}", {FD: width / 8}, model__width=width)
    fast = PROTOCOL | {"n_generated": 32}
    write_run(tmp_path / "outputs", "fast", {FD: 50.0}, choices={"debug": "fast"}, protocol=fast)
    write_run(tmp_path / "outputs", "broken", {}, state="failed")
    done = genexp("runs=outputs/**", "page=false", "out=report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: left out: 1 debug run and 1 failed run; include=[debug,failed] takes them" in done.stdout
    assert "[n_generated" not in done.stdout
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:3]] == ["width=16", "width=32"]
    done = genexp("runs=outputs/**", "include=[debug,failed]", "page=false", "out=report", cwd=tmp_path)
    assert "measured in 2 ways" in done.stdout
    assert (tmp_path / "report/compare.md").read_text().count("left out") == 0


def test_options_choose_runs_values_and_files(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0, "val/loss": 3.0}, record={"group": "sweep", "tags": ["x", "y"]})
    write_run(tmp_path, "b", {FD: 2.0, "val/loss": 4.0}, record={"group": "other", "tags": ["x"]}, seed=1)
    write_run(tmp_path, "c", {FD: 3.0, "val/loss": 5.0}, record={"tags": ["x", "y"]}, seed=1)
    common = (f"runs={tmp_path}", "metrics=[val/*]", "by=null", "page=false")
    for option, wanted in (("group=sweep", ["a"]), ("tags=[x,y]", ["a", "c"]), ("sort=-val/loss", ["c", "b", "a"])):
        done = genexp(*common, option, f"out={tmp_path}/report", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with open(tmp_path / "report/compare.csv") as file:
            rows = list(csv.DictReader(file))
        assert [row["runs"] for row in rows] == wanted
        assert FD not in rows[0]
        assert not (tmp_path / "report/compare.html").exists()


def test_refusals_are_one_line_and_write_nothing(tmp_path):
    write_run(tmp_path / "runs", "a", {FD: 1.0})
    write_run(tmp_path / "runs", "b", {FD: 2.0}, seed=1, protocol=PROTOCOL | {"n_generated": 7})
    for option, message in (
        ("protocols=refuse", "n_generated is 500 for study/a and 7 for study/b"),
        ("protocols=any", "protocols: must be one of split, refuse, got 'any'"),
        ("include=x", "include: must be one of debug, failed or a list of values, each one of debug, failed, got 'x'"),
        ("source=here", "source: must be one of auto, training, evaluate, got 'here'"),
        ("pictures=-1", "pictures: must be a number of at least 0, got -1"),
        ("group=none_such", "group must name some of these runs (none), got none_such"),
        ("ablation=bse", "ablation must be one with runs in "),
    ):
        done = genexp("runs=runs", option, "out=report", cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("genexp compare: ")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "report").exists()


@pytest.fixture(scope="module")
def real_pair(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("real")
    common = [*tiny.overrides_for("vae"), f"paths.outputs={outputs}", "training.max_images=64"]
    return outputs, [tiny.run([*common, f"seed={seed}"]) for seed in (0, 1)]


def test_real_runs_that_differ_in_the_seed_share_a_row(real_pair, tmp_path):
    outputs, folders = real_pair
    done = genexp(f"runs={outputs}", f"out={tmp_path}/report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "report/compare.json").read_text())
    (row,) = content["rows"]
    assert {run["id"] for run in row["runs"]} == {folder.record["id"] for folder in folders}
    (column,) = [each for each in content["columns"] if each["key"].startswith("fd/")]
    values = {folder.record["id"]: folder.metrics["values"][column["key"]] for folder in folders}
    assert row["values"][column["name"]]["values"] == [values[run["id"]] for run in row["runs"]]
    assert (column["better"], column["protocol"]["n_generated"]) == ("lower", 8)
    assert (tmp_path / "report/compare.html").stat().st_size > 10**6
