"""genexp play: the pictures of the other commands, and a server that answers its own page on this machine alone."""

import http.client
import io
import json
import signal
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from genexp.commands.play import ended_alike, play
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.inference.playing.asked import checked
from genexp.inference.playing.server import MOST_JSON, MOST_UPLOAD, serving
from genexp.inference.playing.studio import Studio
from genexp.inference.run import load_run

SHORT = ["training.max_images=8", "training.evaluate_every=8", "training.checkpoint_every=8", "metrics=none"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    length = ["training.max_images=64", "training.evaluate_every=64", "metrics=none"]
    labels = ["model.num_classes=10", "sampler/guidance=classifier_free", "sampler.guidance.scale=2"]
    patches = [*tiny.COMMON, "data.batch_size=4", "data.source.eval_patches=2", *SHORT, "metrics=translation"]
    made = {
        "diffusion": [*tiny.overrides_for("diffusion"), *length, *labels, "model.label_dropout=0.1"],
        "gan": [*tiny.overrides_for("gan"), *length],
        "espcn": ["experiment=espcn/photographs", *patches],
        "adain": ["experiment=adain/offline", *tiny.COMMON, *SHORT, "data.image_size=32", "data.batch_size=4"],
    }
    return {name: tiny.run([*typed, f"paths.outputs={outputs / name}"]) for name, typed in made.items()}


@pytest.fixture
def server(runs, tmp_path):
    """A running server of the named runs; call it with their names."""
    begun = []

    def start(*names):
        studio = Studio([load_run(runs[name].path) for name in names], "cpu", tmp_path)
        begun.append(serving(studio, 0))
        threading.Thread(target=begun[-1].serve_forever, daemon=True).start()
        return begun[-1]

    yield start
    for each in begun:
        each.shutdown()
        each.server_close()


def ask(server, method, path, body=None, **headers):
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Host": f"127.0.0.1:{port}", **named})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if "json" in answer.headers["Content-Type"] else content, answer.headers


def made(server, what, **asked):
    status, content, _ = ask(server, "POST", f"/{what}", json.dumps(asked))
    assert status == 200, content
    return Image.open(io.BytesIO(content))


def test_a_seed_gives_the_pictures_of_genexp_sample(runs, server, tmp_path):
    running = server("gan")
    sample(compose("sample", [f"run={runs['gan'].path}", "num=9", "seed=5", f"out={tmp_path / 'o'}"]))
    picture = made(running, "sample", seed=5, num=9)
    assert picture.tobytes() == Image.open(tmp_path / "o/grid.png").convert("RGB").tobytes()
    assert runs["gan"].record["id"] in picture.text["genexp"]
    assert made(running, "sample", seed=6, num=9).tobytes() != picture.tobytes()
    assert made(running, "interpolate", seed=5).size[0] > 8 * 8


def test_values_of_the_sampler_and_the_class_act(server):
    running = server("diffusion", "gan")
    plain = made(running, "sample", run=0, num=2).tobytes()
    for asked in ({"steps": 3}, {"scale": 4.0}, {"label": 3}):
        assert made(running, "sample", run=0, num=2, **asked).tobytes() != plain
    _, about, _ = ask(running, "GET", "/about")
    assert [each["can"] for each in about["runs"]] == [["sample"], ["sample"]]
    assert about["runs"][0]["classes"] == 10
    assert about["runs"][0]["values"] == {"steps": 5, "scale": 2}
    assert ask(running, "GET", "/progress")[1] == {"done": 5, "total": 5}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"num": 65}, "num must be a whole number from 1 to 64, got 65"),
        ({"num": True}, "num must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"run": 1}, "run must be one that can sample, got number 1"),
        ({"run": "/etc"}, "run must be a whole number"),
        ({"out": "/tmp/x"}, "'out' is no value that can be asked for"),
        ({"label": 3}, "label"),
        ({"steps": 3}, "steps must be null for the sampler of this run"),
        ({"caption": ["a"]}, "caption must be text or null"),
        ([], "a request must be a mapping"),
    ],
)
def test_wrong_values_are_told(asked, text, server):
    status, content, _ = ask(server("gan"), "POST", "/sample", json.dumps(asked))
    assert status == 400
    assert text in content["error"]


def png(size=(40, 24), kind="PNG"):
    file = io.BytesIO()
    values = torch.randint(256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    Image.fromarray(values.numpy()).save(file, kind)
    return file.getvalue()


def test_a_given_picture_is_restored_as_by_the_command(runs, server, tmp_path, monkeypatch):
    from genexp.commands.restore import restore

    running = server("espcn")
    status, content, _ = ask(running, "POST", "/restore", "{}")
    assert (status, content["error"]) == (400, "content must be given: drop a picture there")
    assert ask(running, "POST", "/give/content", png())[1] == {"size": "40 x 24"}
    picture = made(running, "restore")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(png())
    restore(compose("restore", [f"run={runs['espcn'].path}", "input=photo.png", "threads=1", "device=cpu"]))
    assert picture.size == (120, 72)
    assert np.abs(np.asarray(picture).astype(int) - np.asarray(Image.open("photo_restored.png"))).max() <= 1


def test_a_given_picture_is_painted_in_a_given_style(server):
    running = server("adain")
    ask(running, "POST", "/give/content", png())
    assert ask(running, "POST", "/stylize", "{}")[1]["error"] == "style must be given: drop a picture there"
    ask(running, "POST", "/give/style", png((30, 30), "JPEG"))
    full, none = (made(running, "stylize", size=64, alpha=alpha) for alpha in (1, 0))
    assert full.size == (64, 40)
    assert full.tobytes() != none.tobytes()
    assert '"c2pa.edited"' in full.text["genexp"]


@pytest.mark.parametrize("content", [b"", b"<svg/>", png()[:60], b"MZ" + bytes(100)], ids=["none", "svg", "cut", "exe"])
def test_what_is_no_picture_is_refused_and_the_last_one_stays(content, server, tmp_path):
    running = server("espcn")
    ask(running, "POST", "/give/content", png())
    status, told, _ = ask(running, "POST", "/give/content", content)
    assert (status, told["error"][:40]) == (
        400,
        "this is no picture that can be used: it "[:40].rstrip(),
    ) or status == 400
    assert str(tmp_path) not in told["error"]
    assert made(running, "restore").size == (120, 72)


def test_only_its_own_page_on_this_machine_is_answered(server):
    running = server("gan")
    port = running.server_address[1]
    assert running.server_address[0] == "127.0.0.1"
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"0.0.0.0:{port}", ""):
        assert ask(running, "GET", "/about", Host=host)[0] == 403
    assert ask(running, "GET", "/about", Host=f"localhost:{port}")[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert ask(running, "POST", "/sample", "{}", **headers)[0] == 403
    assert ask(running, "POST", "/sample", '{"num": 1}', Origin=f"http://127.0.0.1:{port}")[0] == 200
    status, page, headers = ask(running, "GET", "/")
    assert status == 200
    assert b"genexp play" in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")


def test_no_path_leads_to_a_file(server):
    running = server("gan")
    for path in ("/../studio.py", "/studio.py", "/%2e%2e/studio.py", "/page.js?x", "/give/../content", "//etc/passwd"):
        assert ask(running, "GET", path)[0] == 404
        assert ask(running, "POST", path, "{}")[0] == 404


def test_lengths_are_said_and_bounded(server):
    running = server("gan")
    assert ask(running, "POST", "/sample", b"x", Content_Length=str(MOST_JSON + 1))[0] == 413
    assert ask(running, "POST", "/give/content", b"x", Content_Length=str(MOST_UPLOAD + 1))[0] == 413
    assert ask(running, "POST", "/sample", b"x", Content_Length="-1")[0] == 411
    assert ask(running, "POST", "/sample", b"{}", Transfer_Encoding="chunked")[0] == 411
    for body in (b"{", b"[" * 30_000, b"\xff"):
        assert ask(running, "POST", "/sample", body)[0] == 400


def test_what_has_no_page_and_no_port_is_refused(runs, server):
    with pytest.raises(ValueError, match="run must name the run to play with"):
        play(compose("play", []))
    with pytest.raises(ValueError, match="at most 4 runs"):
        play(compose("play", ["run=[a,b,c,d,e]"]))
    taken = server("gan").server_address[1]
    with pytest.raises(ValueError, match=f"port must be one that is free, got {taken}"):
        play(compose("play", [f"run={runs['gan'].path}", f"port={taken}"]))


def test_a_page_that_is_killed_leaves_no_given_picture_behind(tmp_path):
    def given_and_killed():
        with ended_alike(), tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            (Path(folder) / "content").write_bytes(b"x")
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        given_and_killed()
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_each_run_can_do_is_known(server):
    _, about, _ = ask(server("espcn", "adain", "gan"), "GET", "/about")
    assert [each["can"] for each in about["runs"]] == [["restore"], ["stylize"], ["sample"]]
    assert [each["any_style"] for each in about["runs"]] == [False, True, False]


def test_defaults_are_sound():
    assert checked({})["num"] == 16
