"""The page of an ablation in a real browser: readable in light and dark, whole in a narrow window, and silent."""

import os
import shutil

import pytest
from ablation_studies import ddim
from contrast import CONTRAST

from genexp.ablations.report.write import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_report(ddim(folder / "runs", {((("eta", "0"), ("steps", "10")), 1)}), folder / "out")
    return folder / "out/index.html"


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=[] if os.geteuid() else ["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_nothing_is_asked_for(chromium, page_file, scheme):
    tab = chromium.new_page(color_scheme=scheme)
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or said.append(asked.url))
    tab.goto(page_file.as_uri())
    tab.click("summary")
    assert tab.evaluate(CONTRAST) >= 4.5
    assert tab.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert said == []
    tab.close()


def test_a_narrow_window_scrolls_tables_and_not_the_page(chromium, page_file):
    tab = chromium.new_page(viewport={"width": 400, "height": 800})
    tab.goto(page_file.as_uri())
    tab.click("summary")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    tab.close()
