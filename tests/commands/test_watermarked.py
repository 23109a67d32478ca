"""genexp sample watermark=<key>, and genexp info <picture> watermark=<key>, which finds it again."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import tiny
from genexp.commands import info
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.inference.marked_pixels import FALSE_POSITIVES, find
from genexp.inference.watermarks import Watermark
from genexp.runs.run_folder import RunFolder
from genexp.sampling.ddim import DDIM
from genexp.tensors import Grid, to_uint8
from genexp.terminal import share_in_words


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    length = ["training.max_images=64", "training.evaluate_every=64", "metrics=none"]
    small = ["data=shapes", "data.limit=64", "model.encoder.width=8", "model.decoder.width=8"]
    diffusion = [*tiny.overrides_for("diffusion"), *length, "sampler.steps=20", f"paths.outputs={outputs / 'd'}"]
    return {
        "vae": tiny.run([*tiny.overrides_for("vae"), *small, *length, f"paths.outputs={outputs / 'v'}"]),
        "diffusion": tiny.run(diffusion),
    }


def draw(folder, out, *overrides):
    sample(compose("sample", [f"run={folder.path}", f"out={out}", "interpolate=0", "frames=0", *overrides]))
    return out / "images/000000.png"


def said(capsys, *arguments):
    capsys.readouterr()
    assert info.main([str(each) for each in arguments]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if line[0] != " ")
    return rows["watermark"].strip()


def test_a_mark_in_pixels_is_found_by_its_key_alone(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["genexp", "sample", "run=r", "watermark=my secret"])
    path = draw(runs["vae"], tmp_path / "a", "num=2", "watermark='my secret'")
    assert said(capsys, path, "watermark=my secret").startswith("of this key: at most one in")
    assert said(capsys, path, "watermark=another").startswith("marked, but not with this key")
    plain = draw(runs["vae"], tmp_path / "b", "num=2")
    assert said(capsys, plain, "watermark=my secret").startswith("no mark")
    assert all(b"secret" not in each.read_bytes() for each in (tmp_path / "a").rglob("*") if each.is_file())
    assert json.loads((tmp_path / "a/sample.json").read_text())["watermark_in"] == "pixels"


def test_a_mark_in_noise_is_found_with_its_run_alone(runs, tmp_path, capsys):
    path = draw(runs["diffusion"], tmp_path / "a", "num=2", "watermark=k", "watermark_in=noise")
    told = capsys.readouterr().err
    record = json.loads((tmp_path / "a/sample.json").read_text())
    count, run = record["watermark_found"], f"run={runs['diffusion'].path}"
    assert record["watermark_looked_at"] == 2
    assert f"watermark  genexp info finds it in {count} of the first 2 images\n" in told
    found = [said(capsys, tmp_path / f"a/images/00000{i}.png", "watermark=k", run) for i in (0, 1)]
    assert sum(each.startswith("of this key") for each in found) == count
    plain = draw(runs["diffusion"], tmp_path / "b", "num=2")
    assert "watermark_found" not in json.loads((tmp_path / "b/sample.json").read_text())
    assert path.read_bytes() != plain.read_bytes()
    assert said(capsys, path, "watermark=other", run).startswith("no mark of this key")
    assert said(capsys, plain, "watermark=k", run).startswith("no mark of this key")


def test_pictures_beside_the_grid_have_the_mark_in_every_image_that_was_drawn():
    grid = Grid(torch.linspace(-0.5, 0.5, 3)[:, None, None, None].expand(3, 3, 32, 32), columns=3)
    found = Watermark("k", "pixels", 3.0).beside({"sheet.png": lambda: grid, "pairs.png": lambda: grid})
    assert all(find(to_uint8(each), "k").p_value < FALSE_POSITIVES for each in found["sheet.png"]().samples)
    assert found["sheet.png"]().columns == 3
    assert found["pairs.png"]() is grid


def test_images_of_several_runs_in_shares_are_marked(runs, tmp_path):
    vae, diffusion = (runs[name].path for name in ("vae", "diffusion"))
    for run, further, size in ((vae, ["watermark=k"], 32), (diffusion, ["watermark=k", "watermark_in=noise"], 8)):
        typed = [f"run=[{run},{run}]", "shares=[1,1]", "num=4", "threads=1", f"out={tmp_path / run.name}"]
        sample(compose("sample", [*typed, *further]))
        draw(RunFolder.open(run), tmp_path / f"{size}", "num=4", *further)
        for name in ("000000.png", "000003.png"):
            both = [(tmp_path / folder / "images" / name) for folder in (run.name, f"{size}")]
            first, second = (np.asarray(Image.open(each)) for each in both)
            assert (first == second).all()
        assert "watermark_in" in json.loads((tmp_path / run.name / "sample.json").read_text())


@pytest.mark.parametrize(
    ("family", "overrides", "text"),
    [
        ("diffusion", ["watermark=k"], "at least 32 pixels a side, got 8 x 8"),
        ("vae", ["watermark=k", "watermark_in=noise"], "watermark_in=noise needs a diffusion sampler"),
        ("diffusion", ["watermark=k", "watermark_in=noise", "sampler=ddpm"], "adds no fresh noise, got DDPM"),
        (
            "diffusion",
            ["watermark=k", "watermark_in=noise", "edit=noised", "images=x"],
            "must be pixels with edit",
        ),
        ("diffusion", ["watermark=k", "watermark_in=noise", "sampler=consistency", "sampler.steps=1"], "a single step"),
        ("diffusion", ["watermark_in=noise"], "watermark_in must be left as it is without watermark=<key>, got noise"),
        ("vae", ["watermark_strength=9"], "watermark_strength must be left as it is without watermark=<key>, got 9"),
        (
            "diffusion",
            ["watermark=k", "watermark_in=noise", "watermark_strength=9"],
            "watermark_strength must be left as it is with watermark_in=noise, got 9",
        ),
    ],
)
def test_what_cannot_be_marked_is_refused_before_work(family, overrides, text, runs, tmp_path):
    with pytest.raises(ValueError, match=text):
        draw(runs[family], tmp_path / "a", *overrides)
    assert not (tmp_path / "a").exists()


def test_a_mark_in_noise_is_not_for_codes():
    model = type("OfCodes", (), {"codec": object()})()
    mark = Watermark("k", "noise", 4.0)
    mark.require((1, 8, 8), DDIM(), None)
    with pytest.raises(ValueError, match=r"^watermark_in must be pixels for a run that draws codes, .*, got noise$"):
        mark.require((1, 8, 8), DDIM(), model)
    Watermark("k", "pixels", 4.0).require((1, 32, 32), DDIM(), model)


def test_what_is_not_found_is_explained_by_what_a_picture_says(runs, tmp_path, capsys):
    path = draw(runs["diffusion"], tmp_path / "a", "num=1", "watermark=k", "watermark_in=noise")
    ours = runs["diffusion"].record["id"]
    told = f"it says that its mark is in the noise: run= must name the run ({ours})"
    assert said(capsys, path, "watermark=k") == f"not looked for in so few pixels; {told}"
    other = f"run={tmp_path / 'other'}"
    shutil.copytree(runs["diffusion"].path, tmp_path / "other")
    record = json.loads((tmp_path / "other/run.json").read_text())
    (tmp_path / "other/run.json").write_text(json.dumps({**record, "id": "another"}))
    assert said(capsys, path, "watermark=z", other).endswith(f"; it says that {ours} drew it, not another")
    grid, run = tmp_path / "a/grid.png", f"run={runs['diffusion'].path}"
    Image.new("L", (64, 40)).save(tmp_path / "large.png")
    large = said(capsys, tmp_path / "large.png", "watermark=k", run)
    assert large.endswith("; samples of this run have 8 x 8 pixels, it has 64 x 40")
    text = Image.open(grid).text["genexp"]
    info_of = PngInfo()
    info_of.add_text("genexp", text)
    Image.new("L", (64, 40)).save(tmp_path / "large.png", pnginfo=info_of)
    assert said(capsys, tmp_path / "large.png", "watermark=k").endswith(f"; {told}")


def test_a_share_too_small_for_a_float_is_bounded():
    assert [share_in_words(each) for each in (0.0, 1e-310, 1e-6, 0.25)] == [
        *("one in 1e+300", "one in 1e+300"),
        *("one in 1e+06", "a share of 0.25"),
    ]


def test_wrong_questions(runs, tmp_path, capsys):
    path = draw(runs["diffusion"], tmp_path / "a", "num=1")
    capsys.readouterr()
    for told, *wrong in (
        ("watermark must be the key", "run=r"),
        ("watermark must be text of at least one character, got none", "watermark="),
        ("each once, got key=k", "key=k"),
        ("each once, got watermark=b", "watermark=a", "watermark=b"),
    ):
        assert info.main([str(path), *wrong]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
    assert info.main([str(path.parent)]) == 2
    assert capsys.readouterr().err == f"genexp info: a picture must be a file, got the folder {path.parent}\n"
    assert info.main([str(path), "watermark=k"]) == 1
    assert "at least 32 pixels a side, got 8 x 8" in capsys.readouterr().err
    assert info.main([str(path), "watermark=k", "run=nowhere"]) == 1
    assert info.main([str(path), "watermark=k", f"run={runs['vae'].path}"]) == 1
    assert "run must be a run of diffusion" in capsys.readouterr().err
