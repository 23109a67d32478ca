"""The page in a real browser: it sorts, filters, shows curves and pictures, and says nothing in the console."""

import os
import shutil

import pytest
from contrast import CONTRAST
from stored_runs import FD, write_run

from genexp.reports.comparison import compare_runs
from genexp.reports.comparison_page import write_page
from genexp.runs.find import find_run_folders
from genexp.runs.stored import read_runs

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for seed in (0, 1):
        for width, level in ((16, 3.0), (8, 1.0), (128, 2.0)):
            history = tuple({"images_seen": i, "train/loss": level / i, FD: level + seed} for i in (100, 200, 300))
            write_run(
                folder, f"w{width}s{seed}", {FD: level + seed}, seed=seed, model__width=width, typed=("model.width",),
                history=history, pictures=(100, 200, 300),
            )  # fmt: skip
    write_run(folder, "halted", model__width=64, state="interrupted", pictures=(100,))
    damaged = write_run(folder, "broken")
    (damaged / "run.json").write_text("{")
    return write_page(compare_runs(*read_runs(find_run_folders([str(folder)]))), folder / "compare.html")


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=BROWSER, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium, page_file):
    """The page in a fresh tab; the test fails if the console said anything or the network was asked."""
    opened = chromium.new_page(viewport={"width": 1280, "height": 1800}, color_scheme="light")
    said = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda asked: asked.url.startswith(("file:", "data:", "blob:")) or said.append(asked.url))
    opened.goto(page_file.as_uri())
    opened.wait_for_selector("#chart .main-svg")
    yield opened
    opened.close()
    assert said == []


def widths(tab):
    """The last column: values come before settings."""
    assert tab.locator("#table thead th").all_inner_texts()[-1] == "model.width"
    return tab.locator("#table tbody tr:not([hidden]) > :last-child").all_inner_texts()


def test_the_table_opens_with_the_best_row_first(tab):
    assert widths(tab) == ["8", "128", "16", "64"]
    assert tab.locator("td.best strong").inner_text().startswith("1.500 ± 0.707")
    assert "7 runs in 4 rows: 6 finished, 1 interrupted, 1 damaged" in tab.inner_text("#summary")
    assert "run.json cannot be read" in tab.inner_text("#notes")


def test_a_click_on_a_header_sorts_and_another_turns_it_round(tab):
    header = tab.locator("#table thead th", has_text="model.width")
    header.locator("button").click()
    assert widths(tab) == ["8", "16", "64", "128"]
    assert header.get_attribute("aria-sort") == "ascending"
    header.locator("button").click()
    assert widths(tab) == ["128", "64", "16", "8"]
    assert header.get_attribute("aria-sort") == "descending"


def test_sorting_works_from_the_keyboard_and_leaves_missing_values_last(tab):
    button = tab.locator("#table thead th", has_text="fd").locator("button")
    button.focus()
    tab.keyboard.press("Enter")
    assert widths(tab) == ["8", "128", "16", "64"]
    tab.keyboard.press("Enter")
    assert widths(tab) == ["16", "128", "8", "64"]


def test_the_filter_keeps_rows_that_have_all_words(tab):
    tab.fill("#filter", "width=128 finished")
    assert widths(tab) == ["128"]
    assert tab.inner_text("#count") == "1 of 4 rows"
    tab.fill("#filter", "w8s1")
    assert widths(tab) == ["8"]
    tab.fill("#filter", "")
    assert len(widths(tab)) == 4


def test_ticks_choose_what_curves_and_pictures_show(tab):
    assert tab.locator("#legend li").count() == 4
    tab.click("#clear")
    assert tab.locator("#legend li").count() == tab.locator("#figures figure").count() == 0
    tab.get_by_label("show width=128").check()
    assert tab.locator("#legend li").all_inner_texts() == ["width=128"]
    assert tab.locator("#figures figure").count() == 1
    tab.click("#first")
    assert tab.locator("#legend li").count() == 4


def test_curves_have_a_mean_over_seeds_a_choice_of_value_and_hover(tab):
    tab.click("#clear")
    tab.get_by_label("show width=8").check()
    tab.select_option("#curve-key", FD)
    traces = tab.evaluate("document.getElementById('chart').data.map((trace) => [...trace.y])")
    assert traces[2] == [1.5, 1.5, 1.5]
    assert traces[1] == pytest.approx([1.5 + 0.5**0.5] * 3)
    tab.select_option("#curve-key", "train/loss")
    tab.check("#curve-log")
    assert tab.evaluate("document.getElementById('chart').layout.yaxis.type") == "log"
    tab.locator("#chart").scroll_into_view_if_needed()
    tab.evaluate("Plotly.Fx.hover(document.getElementById('chart'), [{ curveNumber: 2, pointNumber: 1 }])")
    assert "0.005 ± 0 (2 seeds) at 200 images" in tab.locator("#chart .hoverlayer").text_content()


def test_the_slider_walks_through_training_by_keyboard(tab):
    assert tab.inner_text("#step-text") == "300"
    last = tab.locator("#figures img").first.get_attribute("src")
    tab.focus("#step")
    tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("#step-text") == "200"
    assert tab.locator("#figures img").first.get_attribute("src") != last
    tab.keyboard.press("Home")
    captions = tab.locator("#figures figcaption small").all_inner_texts()
    assert all("noise seed 0, 100 images seen" in caption for caption in captions)
    assert tab.evaluate("[...document.querySelectorAll('#figures img')].every((image) => image.naturalWidth === 8)")


def test_another_noise_seed_shows_the_other_runs(tab):
    tab.select_option("#picture-seed", "1")
    captions = tab.locator("#figures figcaption small").all_inner_texts()
    assert [caption.split(",")[0] for caption in captions] == ["w8s1", "w128s1", "w16s1", "halted"]


def test_the_difference_of_two_configurations(tab):
    tab.select_option("#one", label="w8s0 width=8 seed 0")
    tab.select_option("#other", label="w16s0 width=16 seed 0")
    assert tab.locator("#diff tbody tr").all_inner_texts() == ["model.width\t8\t16"]
    tab.check("#all-keys")
    assert tab.locator("#diff tbody tr").count() > 5
    tab.uncheck("#all-keys")
    tab.select_option("#other", label="w8s0 width=8 seed 0")
    assert tab.inner_text("#diff tbody") == "These two configurations are equal."


def test_light_and_dark_are_both_readable(tab):
    for click in range(3):
        assert tab.evaluate(CONTRAST) >= 4.5, f"after {click} clicks"
        tab.click("#theme")
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 24)"
    assert tab.evaluate(CONTRAST) >= 4.5


def test_a_narrow_window_scrolls_tables_and_not_the_page(tab):
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_every_control_has_a_name(tab):
    nameless = tab.evaluate(
        """[...document.querySelectorAll("button, select, input")].filter((each) =>
             !each.labels?.length && !each.getAttribute("aria-label") && !each.textContent.trim()).length"""
    )
    assert nameless == 0


MARKUP = '<a href="https://example.org">x</a><b>bold</b>%{x}<img src=x onerror=alert(1)>'


def test_names_with_markup_are_shown_as_they_are_written(chromium, tmp_path):
    """Plotly takes a small part of HTML in names, titles and labels for markup."""
    for seed, kind in ((0, MARKUP), (1, MARKUP), (0, "/*SCRIPT*/")):
        values = {FD: 1.0 + seed, f"val/{MARKUP}": 2.0}
        write_run(tmp_path, f"{MARKUP[:8]}{kind[:2]}{seed}".replace("/", ""), values, seed=seed, model__kind=kind)
    write_run(tmp_path, "plain", {FD: 3.0}, record={"id": MARKUP}, model__kind="c")
    path = write_page(compare_runs(*read_runs(find_run_folders([str(tmp_path)]))), tmp_path / "compare.html")
    opened = chromium.new_page(viewport={"width": 1280, "height": 1800})
    said = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.goto(path.as_uri())
    opened.wait_for_selector("#chart .main-svg")
    opened.select_option("#curve-key", f"val/{MARKUP}")
    assert MARKUP in opened.locator("#chart .ytitle").text_content()
    for number in range(opened.evaluate("document.getElementById('chart').data.length")):
        opened.evaluate(
            f"Plotly.Fx.hover(document.getElementById('chart'), [{{curveNumber: {number}, pointNumber: 0}}])"
        )
    assert opened.locator("a[href^='https:'], #chart b, #chart img, #table b").count() == 0
    assert opened.locator("#table tbody td", has_text="/*SCRIPT*/").count() == 1
    opened.close()
    assert said == []
