"""`genexp sample` from given pictures: what a person types, what lies there afterwards, and what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from genexp.__main__ import main

POINTS = Path(__file__).parents[1] / "earlier_runs" / "toy"
GAN = Path(__file__).parents[1] / "earlier_runs" / "gan"


def saved(pixels, path):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run, two pictures, and masks."""
    folder = tmp_path_factory.mktemp("edits")
    length = [
        "training.max_images=32",
        "training.evaluate_every=32",
        "metrics=none",
        "training.monitor=null",
        "model.num_classes=10",
    ]
    run = tiny.run(
        [*tiny.overrides_for("diffusion"), *length, "sampler=ddim", "sampler.steps=10", f"paths.outputs={folder}"]
    )
    (folder / "trained").symlink_to(run.path)
    numbers = np.random.default_rng(0)
    for i in range(2):
        saved(numbers.integers(0, 256, (8, 8), dtype=np.uint8), folder / "pictures" / f"{i}.png")
    (folder / "pictures" / "notes.txt").write_text("passed over")
    half = np.zeros((8, 8), dtype=np.uint8)
    half[:4] = 255
    saved(half, folder / "mask.png")
    saved(np.zeros((8, 8), dtype=np.uint8), folder / "black.png")
    saved(np.repeat(half, 2, 1), folder / "wide.png")
    saved(numbers.integers(0, 256, (24, 16, 3), dtype=np.uint8), folder / "large.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def typed(place, monkeypatch):
    """Types a line of `genexp sample`, in the folder."""
    monkeypatch.chdir(place)

    def type_(*words):
        arguments = ["sample", "threads=1", "interpolate=0", *words]
        monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
        return main(arguments)

    return type_


def drawn(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted((folder / "images").glob("*.png"))])


def test_what_is_kept_comes_back_level_by_level_and_lies_beside_what_was_drawn(place, typed, tmp_path):
    """Samples 0, 2 and 4 are of the first picture."""
    repaint = ["run=trained", "edit=repaint", "images=pictures", "mask=mask.png", "edit.jump_length=4"]
    typed(*repaint, "edit.resamplings=2", "num=5", "frames=3", f"out={tmp_path / 'a'}")
    images = drawn(tmp_path / "a")
    given = np.stack([np.asarray(Image.open(place / "pictures" / f"{i % 2}.png")) for i in range(5)])
    assert (images[:, :4] == given[:, :4]).all()
    assert (images[:, 4:] != given[:, 4:]).mean() > 0.5
    assert (images[0] != images[2]).any()
    record = json.loads((tmp_path / "a" / "sample.json").read_text())
    assert (record["images"], record["mask"], record["evaluations"]) == ("pictures", "mask.png", 10 + 2 * 4)
    assert record["edit"]["_target_"] == "genexp.sampling.repaint.RePaint"
    width, height = Image.open(tmp_path / "a" / "edited.png").size  # given, kept, drawn 1, drawn 2
    assert 4 * 58 < width < 4 * 58 + 140
    assert 2 * 58 < height < 2 * 58 + 40
    assert (tmp_path / "a" / "denoising.png").exists()
    assert not (tmp_path / "a" / "interpolation.png").exists()


def test_full_strength_is_the_drawing_without_pictures_and_little_strength_stays_near(place, typed, tmp_path):
    """A picture of another size is cut and resized as those of data are."""
    for name, words in {
        "plain": [],
        "full": ["edit=noised", "edit.strength=1", "images=large.png"],
        "little": ["edit=noised", "edit.strength=0.01", "sampler.steps=200", "images=large.png"],
        "inverted": ["edit=inverted", "edit.source.label=3", "label=3", "sampler.steps=50", "images=pictures/0.png"],
    }.items():
        typed("run=trained", *words, "num=2", "frames=0", f"out={tmp_path / name}")
    assert (drawn(tmp_path / "full") == drawn(tmp_path / "plain")).all()
    square = Image.open(place / "large.png").convert("L").resize((8, 8), Image.Resampling.BILINEAR, (0, 4, 16, 20))
    assert abs(drawn(tmp_path / "little").astype(int) - np.asarray(square)).mean() < 15
    assert abs(drawn(tmp_path / "plain").astype(int) - np.asarray(square)).mean() > 50
    assert json.loads((tmp_path / "inverted" / "sample.json").read_text())["evaluations"] == 100
    assert (drawn(tmp_path / "inverted")[0] == drawn(tmp_path / "inverted")[1]).all()  # a function of the picture


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["images=pictures"],
            "images must be null without an edit (edit=noised, inverted, repaint, completed or continued), got",
        ),
        (["edit=noised"], "images must name a picture or a folder of them for an edit, got null"),
        (["edit=noised", "images=none"], "images must be a picture file or a folder of them, got none"),
        (["edit=noised", "images=broken.png"], "cannot use image broken.png: it cannot be read as any of PNG"),
        (["edit=noised", "images=pictures", "edit.strength=2"], "edit.strength: must lie in (0, 1], got 2"),
        (
            ["edit=noised", "images=pictures", "edit.strength=0.05"],
            "edit.strength: must reach the sampler's least noisy",
        ),
        (["edit=noised", "images=pictures", "mask=mask.png"], "mask must be null where no part of an image is kept"),
        (["edit=repaint", "images=pictures"], "mask must name a picture that is white where images are kept, got null"),
        (["edit=repaint", "images=pictures", "mask=wide.png"], "the size of pictures/0.png, 8 x 8 pixels, got 16 x 8"),
        (
            ["edit=repaint", "images=pictures", "mask=black.png"],
            "mask must keep a part of its picture, white, and leave",
        ),
        (
            ["edit=repaint", "images=pictures", "mask=mask.png"],
            "edit.jump_length: must be below the sampler's 10 steps",
        ),
        (
            ["edit=repaint", "images=pictures", "mask=mask.png", "sampler=dpm_solver_2m"],
            "edit: sampler must look at the present image alone for inpainting, as ddpm, ddim, euler and heun do",
        ),
        (
            ["edit=completed", "images=pictures", "mask=mask.png"],
            "edit must be noised, inverted, repaint, continued or swapped for DDIM, got",
        ),
        (["edit=inverted", "images=pictures", "sampler=ddpm"], "edit: sampler must add no fresh noise to be inverted"),
        (
            ["edit=inverted", "images=pictures", "edit.source.label=12"],
            "edit.source: must say what the model is told: la",
        ),
        (
            [f"run={POINTS}", "edit=noised", "images=pictures"],
            "run must be of square images of 1 or 3 channels to take",
        ),
        (
            [f"run={GAN}", "edit=noised", "images=pictures"],
            "edit must be null for Latent, which does not go from",
        ),
    ],
)
def test_what_cannot_be_edited_is_told_in_a_line(words, told, typed, capsys):
    with pytest.raises(SystemExit):
        typed(*([] if words[0].startswith("run=") else ["run=trained"]), *words)
    line = capsys.readouterr().err.splitlines()[-1]
    assert told in line
