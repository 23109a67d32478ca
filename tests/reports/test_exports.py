"""Exported files say what the comparison says, to programs and to people."""

import csv
import io
import json
import re

import pytest
from stored_runs import FD, write_run

from genexp.reports.comparison import compare_runs
from genexp.reports.exports import as_csv, as_json, as_latex, as_markdown, write_tables
from genexp.reports.formatting import NumberFormat
from genexp.runs.find import find_run_folders
from genexp.runs.stored import read_runs


@pytest.fixture
def comparison(tmp_path):
    floor = {FD.replace("fd/", "fd_floor/"): 0.25}
    for seed, value in enumerate((1.0, 2.0)):
        write_run(tmp_path, f"a{seed}", {FD: value} | floor, seed=seed, model__kind="x_1|y")
    write_run(tmp_path, "b0", {FD: 0.5} | floor, model__kind="50%")
    write_run(tmp_path, "c0", {}, state="failed", model__kind="50%")
    broken = write_run(tmp_path, "broken")
    (broken / "run.json").write_text("{")
    return compare_runs(*read_runs(find_run_folders([str(tmp_path)])))


def test_csv_parses_back(comparison):
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert [row["model.kind"] for row in rows] == ["50%", "x_1|y", "50%"]
    assert [row[f"{FD} mean"] for row in rows] == ["0.5", "1.5", ""]
    assert float(rows[1][f"{FD} std"]) == pytest.approx(0.5**0.5)
    assert [row[f"{FD} n"] for row in rows] == ["1", "2", "0"]
    assert (rows[1]["seeds"], rows[1]["runs"], rows[2]["state"]) == ("0 1", "a0 a1", "failed")


def test_json_holds_every_value_and_the_protocol(comparison):
    content = json.loads(as_json(comparison))
    first, second, third = content["rows"]
    assert second["values"][FD] | {"std": 0} == {
        "mean": 1.5,
        "std": 0,
        "n": 2,
        "values": [1.0, 2.0],
        "error": None,
        "best": False,
    }
    assert first["values"][FD]["best"] is True
    assert third["values"] == {}
    assert content["columns"][0]["protocol"]["n_generated"] == 500
    assert content["columns"][0]["real_images"] == [0.25, 0.25]
    assert "run.json cannot be read" in content["damaged"][0]["reason"]


def test_json_has_no_number_that_json_does_not_know(tmp_path):
    write_run(tmp_path, "a", {FD: float("inf")})
    write_run(tmp_path, "b", {FD: float("nan")}, model__width=32)
    comparison = compare_runs(*read_runs(find_run_folders([str(tmp_path)])))

    def refuse(name):
        raise AssertionError(name)

    rows = json.loads(as_json(comparison), parse_constant=refuse)["rows"]
    assert [row["values"][FD]["mean"] for row in rows] == ["inf", "nan"]


def test_markdown_marks_the_best_and_tells_the_rest(comparison):
    lines = as_markdown(comparison).splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    assert len({len(line) for line in cells}) == 1
    assert "**0.500**" in lines[2]
    assert "1.500 ± 0.707" in lines[3]
    assert any(line.startswith("| real images") and "0.250" in line for line in lines)
    assert any("n_generated 500" in line for line in lines)
    assert any(line.startswith("- damaged: ") for line in lines)


def test_latex_is_balanced_and_escaped(comparison):
    text = as_latex(comparison)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({len(re.split(r"(?<!\\)&", line)) for line in rows}) == 1
    assert r"50\%" in text
    assert r"x\_1|y" in text
    assert r"$\mathbf{0.500}$" in text
    assert r"$1.500 \pm 0.707$" in text


def test_latex_writes_powers_of_ten(tmp_path):
    write_run(tmp_path, "a", {FD: 1.13e-5})
    text = as_latex(compare_runs(*read_runs(find_run_folders([str(tmp_path)]))))
    assert r"$1.130 \cdot 10^{-5}$" in text


def test_files_are_replaced_and_nothing_else_is_left(comparison, tmp_path):
    out = tmp_path / "report"
    for _ in range(2):
        paths = write_tables(comparison, out)
    assert sorted(paths) == sorted(out.iterdir())


def test_numbers_of_a_column_share_their_decimals():
    written = NumberFormat([123.456, 1.0])
    assert (written(123.456), written(1.0), written(None)) == ("123.5", "1.0", "–")
    assert NumberFormat([0.01234])(0.01234) == "0.01234"
    assert NumberFormat([3e9, 1.0])(3e9) == "3.000e+09"
    assert NumberFormat([1.0])(float("nan")) == "nan"
