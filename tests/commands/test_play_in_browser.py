"""The page in a real browser: it draws two runs side by side, takes a picture, and says nothing in the console."""

import os
import shutil
import threading

import pytest
from PIL import Image

import tiny
from genexp.inference.playing.server import serving
from genexp.inference.playing.studio import Studio
from genexp.inference.run import load_run

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    length = ["training.max_images=64", "training.evaluate_every=64", "metrics=none"]
    short = ["training.max_images=8", "training.evaluate_every=8", "training.checkpoint_every=8"]
    patches = [*tiny.COMMON, "data.batch_size=4", "data.source.eval_patches=2", *short, "metrics=translation"]
    typed = {
        "d": [*tiny.overrides_for("diffusion"), *length, "model.num_classes=10"],
        "g": [*tiny.overrides_for("gan"), *length],
        "r": ["experiment=espcn/photographs", *patches],
    }
    runs = [tiny.run([*each, f"paths.outputs={outputs / name}"]) for name, each in typed.items()]
    server = serving(Studio([load_run(run.path) for run in runs], "cpu", tmp_path_factory.mktemp("given")), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def tab(address):
    with playwright.sync_playwright() as driver:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=BROWSER, args=sandbox)
        opened = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        said = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda asked: asked.url.startswith((address, "blob:")) or said.append(asked.url))
        opened.goto(address)
        opened.wait_for_selector("main img")
        yield opened
        browser.close()
        assert [line for line in said if "400 (Bad Request)" not in line] == []


def sources(tab):
    return tab.eval_on_selector_all("main img", "each => each.map(image => image.src)")


def after(tab, act):
    before = sources(tab)
    act()
    tab.wait_for_function("before => document.querySelector('main img').src !== before", arg=before[0])
    return tab.locator("main figcaption").all_inner_texts()


def test_two_runs_are_drawn_side_by_side_and_again_with_other_values(tab):
    assert len(sources(tab)) == 2
    assert tab.locator("#steps").get_attribute("placeholder") == "5"
    tab.fill("#seed", "7")
    tab.fill("#steps", "3")
    tab.select_option("#label", "4")
    shown = after(tab, lambda: tab.click("#next"))
    assert len(shown) == 2
    assert tab.input_value("#seed") == "8"
    assert after(tab, lambda: tab.click("#interpolate"))


def test_a_picture_is_given_and_restored_and_another_file_is_told(tab, tmp_path):
    Image.new("RGB", (30, 20), (200, 80, 20)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no picture")
    tab.set_input_files("#content input", tmp_path / "photo.png")
    tab.wait_for_function("() => document.getElementById('said').textContent === 'content: 30 x 20 pixels'")
    assert len(after(tab, lambda: tab.click("#restore"))) == 1
    assert tab.eval_on_selector("main img", "image => image.naturalWidth") == 90
    with tab.expect_response("**/give/content") as told:
        tab.set_input_files("#content input", tmp_path / "text.png")
    assert told.value.status == 400
    tab.wait_for_function("() => document.getElementById('said').className === 'error'")
    assert "no picture that can be used" in tab.locator("#said").inner_text()
