"""Where weights come from: parts of runs, followed where folders are there, and told on a comparison's page."""

import json
import re

import pytest
import yaml
from stored_runs import write_run

import tiny
from genexp.inference.run import load_run
from genexp.reports.comparison import compare_runs
from genexp.reports.comparison_page import write_page
from genexp.runs import lineage as module
from genexp.runs.lineage import lineage
from genexp.runs.stored import read_run, read_runs


def begun(outputs, identity, parts, **settings):
    """A run that was made with others, by the names of its parts."""
    told = {key: {"run": str(run), "digest": digest} for key, (run, digest) in parts.items()}
    return write_run(outputs, identity, record={"parts": told}, **settings)


def told(folder):
    return [f"{key}: {words}" for key, words in lineage(read_run(folder))]


@pytest.fixture
def ours(monkeypatch):
    """Runs that this user has signed."""
    monkeypatch.setattr(module, "wrote_run", lambda record, path: True)


def test_a_real_run_that_began_with_another_says_so(tmp_path):
    typed = [*tiny.overrides_for("vae"), "training.max_images=32", "training.evaluate_every=32", "metrics=none"]
    first = tiny.run([*typed, "name=first", f"paths.outputs={tmp_path}/a"])
    second = tiny.run([*typed, "initial=run", f"initial.run={first.path}", f"paths.outputs={tmp_path}/b"])
    digest = load_run(first.path).digest[:12]
    assert told(second.path) == [f"initial: first {first.record['id']}, weights {digest}"]


def test_a_chain_of_runs_is_followed_as_far_as_folders_are_there(tmp_path, ours):
    first = write_run(tmp_path, "aaaaaaaa")
    second = begun(tmp_path, "bbbbbbbb", {"initial": (first, "111111111111")})
    third = begun(
        tmp_path, "cccccccc", {"initial": (second, "222222222222"), "model.codec": (tmp_path / "gone", "333333333333")}
    )
    assert told(first) == []
    assert told(second) == ["initial: study aaaaaaaa, weights 111111111111"]
    assert told(third) == [
        "initial: study bbbbbbbb, weights 222222222222 (initial: study aaaaaaaa, weights 111111111111)",
        "model.codec: gone, weights 333333333333",
    ]


def test_a_run_that_leads_back_to_itself_ends(tmp_path, ours):
    folder = begun(tmp_path, "aaaaaaaa", {"initial": (tmp_path / "study" / "aaaaaaaa", "1")})
    (line,) = told(folder)
    assert line.count("study aaaaaaaa") == module.MOST
    assert line.endswith("(..." + ")" * module.MOST)


def test_another_users_run_is_told_and_its_places_are_not_opened(tmp_path):
    first = write_run(tmp_path, "aaaaaaaa")
    second = begun(tmp_path, "bbbbbbbb", {"initial": (first, "1")})
    assert told(second) == ["initial: aaaaaaaa, weights 1"]  # the folder's name


@pytest.mark.parametrize(
    ("initial", "line"),
    [
        ({"weights": "/a/b/model.safetensors", "digest": "01234567"}, "initial: model.safetensors, weights 01234567"),
        ({"weights": "model.pth", "digest": None}, "initial: model.pth"),
        ({"asset": "shapes_from_words"}, "initial: shapes_from_words, which genexp ships"),
    ],
    ids=["digest", "file", "shipped"],
)
def test_files_are_told_too(initial, line, tmp_path):
    folder = write_run(tmp_path, "aaaaaaaa")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"initial": initial}))
    assert told(folder) == [line]


def test_the_page_of_a_comparison_says_it(tmp_path, ours):
    first = write_run(tmp_path, "aaaaaaaa", {"fd": 1.0})
    begun(tmp_path, "bbbbbbbb", {"initial": (first, "111111111111")})
    runs, damaged = read_runs([tmp_path / "study" / each for each in ("aaaaaaaa", "bbbbbbbb")])
    page = write_page(compare_runs(runs, damaged), tmp_path / "compare.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["lineage"] == ["study bbbbbbbb: initial: study aaaaaaaa, weights 111111111111"]
    assert "Where weights come from" in page
