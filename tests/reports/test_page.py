"""The page as a file: whole, safe to open, and within its limits."""

import json
import re

import pytest
from stored_runs import FD, write_run

from genexp.reports.comparison import compare_runs
from genexp.reports.comparison_page import write_page
from genexp.reports.histories import thinned
from genexp.reports.run_pictures import pictures_of
from genexp.runs.find import find_run_folders
from genexp.runs.stored import read_runs


def compared(folder):
    return compare_runs(*read_runs(find_run_folders([str(folder)])))


def script(page, name):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_the_data_and_asks_for_nothing_else(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0}, pictures=(500, 1000))
    write_run(tmp_path, "b", {FD: 2.0}, model__width=32, state="running")
    page = write_page(compared(tmp_path), tmp_path / "compare.html").read_text()
    data = script(page, "data")
    assert [row["name"] for row in data["rows"]] == ["width=16", "width=32"]
    assert data["rows"][0]["cells"][0] == {
        "text": "1.000",
        "value": 1.0,
        "best": False,
        "each": ["0: 1.000"],
        "error": "",
    }
    assert data["curves"]["curves"][FD]["0"] == [[1000], [1.0]]
    assert [picture[:5] for picture in script(page, "picture-data")["pictures"]] == [
        [0, "samples", 500, 8, 8],
        [0, "samples", 1000, 8, 8],
    ]
    ours = page[: page.index('id="plotting"')]
    assert not re.search(r"""(?:src|href|url|@import)\s*[=(]?\s*["']?(?:https?:)?//""", ours)
    assert not re.search(r"/\*(STYLE|DATA|SCRIPT|PICTURES|PLOTTING)\*/", page)


def test_text_from_runs_cannot_become_markup(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0}, model__kind="</script><script>alert(1)</script>")
    write_run(tmp_path, "b", {FD: 2.0}, model__kind="<b>")
    page = write_page(compared(tmp_path), tmp_path / "compare.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert script(page, "data")["rows"][0]["settings"] == ["</script><script>alert(1)</script>"]


@pytest.mark.parametrize("name", ["STYLE", "DATA", "SCRIPT", "PICTURES", "PLOTTING"])
def test_a_value_that_looks_like_a_place_of_the_template_is_a_value(tmp_path, name):
    write_run(tmp_path, "a", {FD: 1.0}, model__kind=f"/*{name}*/")
    write_run(tmp_path, "b", {FD: 2.0}, model__kind="b")
    page = write_page(compared(tmp_path), tmp_path / "compare.html").read_text()
    assert script(page, "data")["rows"][0]["settings"] == [f"/*{name}*/"]


def test_configurations_can_be_rebuilt_from_what_is_common_and_what_is_own(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0})
    write_run(tmp_path, "b", {FD: 2.0}, model__width=32)
    write_run(tmp_path, "c", {FD: 3.0}, model__extra="only here")
    data = script(write_page(compared(tmp_path), tmp_path / "compare.html").read_text(), "data")
    rebuilt = [
        {k: own.get(k, v) for k, v in data["common"].items() if own.get(k, v) is not None} for own in data["own"]
    ]
    assert [each["model.width"] for each in rebuilt] == ["16", "32", "16"]
    assert ["model.extra" in each for each in rebuilt] == [False, False, True]


def test_pictures_keep_to_the_limit_and_show_ends_first(tmp_path):
    for name in "ab":
        write_run(tmp_path, name, {FD: 1.0}, model__width=ord(name), pictures=range(100, 2001, 100))
    comparison = compared(tmp_path)
    whole = pictures_of(comparison, 10**6)
    assert (whole["held"], whole["drawn"]) == (40, 40)
    one = len(whole["pictures"][0][-1])
    few = pictures_of(comparison, 5 * one)
    assert [(run, images) for run, _, images, *_ in few["pictures"]] == [
        (0, 100),
        (0, 300),
        (0, 400),
        (0, 2000),
        (1, 2000),
    ]
    assert pictures_of(comparison, 0)["held"] == 0
    assert pictures_of(comparison, 0)["drawn"] == 40


@pytest.mark.parametrize("length", [3, 20, 21, 1000])
def test_thinned_curves_keep_both_ends_and_their_order(length):
    x, y = thinned((list(range(length)), [float(i) for i in range(length)]), 20)
    assert len(x) == min(length, 20)
    assert (x[0], x[-1], y[-1]) == (0, length - 1, length - 1)
    assert sorted(set(x)) == x
