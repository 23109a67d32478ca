"""genexp info <picture>: what a picture says of itself, and what a stranger's may not do with it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import tiny
from genexp.commands import info
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.data.decoding import read_texts
from genexp.inference.run import load_run
from genexp.inference.saving import save_grid
from genexp.runs.picture_origin import KEY, Origin, pixels_digest, read_claim
from genexp.tensors import Grid


def shown(capsys, path):
    capsys.readouterr()
    assert info.main([str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[:2] + line[2:].split("  ")[0]: line for line in lines}, "\n".join(lines)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    return tiny.run([*tiny.overrides_for("vae"), "training.max_images=64", f"paths.outputs={outputs}"])


def test_a_drawn_picture_names_its_run_weights_seed_index_and_command(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setattr("sys.argv", ["/bin/genexp", "sample", "run=/home/someone/it", "seed=7"])
    sample(compose("sample", [f"run={run.path}", "num=3", "seed=7", f"out={tmp_path / 'o'}"]))
    rows, text = shown(capsys, tmp_path / "o/images/000002.png")
    assert run.record["id"] in rows["  run"]
    assert load_run(run.path).digest in rows["  run"]
    assert rows["  seed"].endswith(" 7")
    assert rows["  index"].endswith(" 2")
    assert rows["  command"].endswith("genexp sample run=~/it seed=7")
    assert "c2pa.created, trainedAlgorithmicMedia" in text
    assert rows["pixels"].endswith("those that it speaks of")
    assert "  index" not in shown(capsys, tmp_path / "o/grid.png")[0]


def test_nothing_is_said_where_that_is_asked_for(run, tmp_path):
    sample(compose("sample", [f"run={run.path}", "num=2", f"out={tmp_path / 'o'}", "provenance=false"]))
    assert all(read_texts(str(path)) == {} for path in (tmp_path / "o").rglob("*.png"))


def test_changed_pixels_are_told(run, tmp_path, capsys):
    sample(compose("sample", [f"run={run.path}", "num=1", f"out={tmp_path / 'o'}"]))
    path = tmp_path / "o/images/000000.png"
    picture = Image.open(path)
    values, kept = np.array(picture), PngInfo()
    kept.add_text(KEY, picture.text[KEY])
    values[0, 0] ^= 1
    Image.fromarray(values).save(path, pnginfo=kept)
    assert "changed since" in shown(capsys, path)[0]["pixels"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_read_back_have_the_digest_that_was_written(channels, tmp_path, capsys):
    from genexp.tracking.journal import save_png

    image = torch.randint(256, (channels, 5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    save_png(image, tmp_path / "a.png", Origin({}).text(image))
    assert shown(capsys, tmp_path / "a.png")[0]["pixels"].endswith("those that it speaks of")


def test_the_digest_knows_the_shape():
    assert pixels_digest(bytes(6), (2, 3, 1)) != pixels_digest(bytes(6), (3, 2, 1))


def test_what_is_made_of_pictures_says_so_with_their_digests(tmp_path):
    (tmp_path / "given.png").write_bytes(b"abc")
    claim = read_claim(Origin({}).made_of([tmp_path / "given.png"] * 20).manifest(None))
    rows = [value for key, value in claim.rows if key == "made of"]
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert rows == [f"given.png, sha256 {known}"] * 8
    assert dict(claim.rows)["action"] == "c2pa.edited, compositeWithTrainedAlgorithmicMedia"


def test_a_gif_carries_it_in_its_comment(tmp_path, capsys):
    save_grid(Grid(torch.rand(2, 3, 1, 8, 8)), tmp_path / "grid.png", Origin({"seed": 3}))
    rows, _ = shown(capsys, tmp_path / "grid.gif")
    assert rows["  seed"].endswith(" 3")
    assert rows["pixels"].endswith("it does not say which they were")
    assert "several frames" in rows["picture"]


def forged(path, text):
    kept = PngInfo()
    kept.add_text(KEY, text)
    Image.new("L", (4, 4)).save(path, pnginfo=kept)
    return path


def manifest(facts):
    content = json.loads(Origin({}).manifest("0" * 64))
    content["assertions"][-1]["data"] = facts
    return json.dumps(content, ensure_ascii=False)


def test_no_stranger_imitates_a_line_or_steers_the_terminal(tmp_path, capsys):
    facts = {"pixels": "those that it speaks of", "a\npixels": "x\r\x1b[2Jpixels  fine\u202e", "long": "y" * 5000}
    rows, text = shown(capsys, forged(tmp_path / "a.png", manifest(facts)))
    assert "changed since" in rows["pixels"]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "(5,000 characters)" in rows["  long"]
    assert [line for line in text.splitlines() if line.startswith("pixels")] == [rows["pixels"]]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", "[" * 30000, '{"assertions": [1]}', '{"assertions": {"a": 1}}', "x" * 2**17],
    ids=["cut", "list", "null", "deep", "numbers", "mapping", "large"],
)
def test_what_is_no_manifest_is_shown_as_a_text(text, tmp_path, capsys):
    rows, _ = shown(capsys, forged(tmp_path / "a.png", text))
    assert rows["origin"].endswith("it says nothing of a run of genexp")
    assert len(rows["text genexp"]) < 500


def test_a_file_that_is_no_picture_is_told_in_a_line(tmp_path, capsys):
    (tmp_path / "a.png").write_text("no picture")
    assert info.main([str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err.startswith("genexp info: cannot use image")
    assert info.main([str(tmp_path / "b.png")]) == 1
    assert "No such file" in capsys.readouterr().err
