"""genexp restore: pictures of any kind and size in, PNG out, and clear refusals before any work."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from genexp.commands.restore import restore
from genexp.conditioning.pictures import Picture
from genexp.config.compose import compose
from genexp.data.picture_tensors import to_tensor
from genexp.data.source import BadImage
from genexp.inference.marked_pixels import FALSE_POSITIVES, find
from genexp.inference.run import load_run
from genexp.networks.rrdb import Rrdb
from genexp.restoration.restorer import Restorer

SHORT = [*tiny.COMMON, "data.batch_size=4", "training.max_images=8", "training.evaluate_every=8"]
SHORT += ["training.checkpoint_every=8", "data.source.eval_patches=2", "metrics=translation"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of the shipped recipes, of eight patches each."""
    outputs = tmp_path_factory.mktemp("runs")
    names = {"espcn": [], "denoising": ["model.generator.depth=3", "model.generator.width=4"]}
    return {
        name: tiny.run([f"experiment={name}/photographs", *SHORT, *more, f"paths.outputs={outputs}"])
        for name, more in names.items()
    }


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genexp"])
    noise = torch.randint(256, (31, 45, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    Image.fromarray(noise).save("photo.png")
    return noise


def run(folder, *overrides):
    restore(compose("restore", [f"run={folder.path}", "device=cpu", "threads=1", *overrides]))


def test_a_picture_of_odd_sides_is_enlarged_and_tiles_change_nothing(runs, capsys):
    run(runs["espcn"], "input=photo.png")
    run(runs["espcn"], "input=photo.png", "tile=16", "out=made/tiles.png")
    whole, tiles = (np.asarray(Image.open(name)).astype(int) for name in ("photo_restored.png", "made/tiles.png"))
    assert whole.shape == (93, 135, 3)
    assert np.abs(whole - tiles).max() <= 1
    shown = capsys.readouterr().out
    assert "photo_restored.png" in shown
    assert "135 x 93" in shown


def test_a_result_says_of_what_and_by_which_run_it_is_made(runs):
    run(runs["espcn"], "input=photo.png")
    told = Image.open("photo_restored.png").text["genexp"]
    assert runs["espcn"].record["id"] in told
    assert hashlib.sha256(Path("photo.png").read_bytes()).hexdigest() in told


def test_results_are_marked_and_opacity_is_not(runs, place):
    for name, opacity in (("photo", None), ("clear", 128)):
        given = place if opacity is None else np.dstack([place, np.full((31, 45), opacity, dtype=np.uint8)])
        Image.fromarray(given).save(f"{name}.png")
        run(runs["espcn"], f"input={name}.png", "watermark=k", "out=marked.png")
        made = Image.open("marked.png")
        assert find(to_tensor(made.convert("RGB")), "k").p_value < FALSE_POSITIVES
        assert find(to_tensor(made.convert("RGB")), "other").p_value > 0.001
        assert "watermark_in" in made.text["genexp"]
        assert opacity is None or set(made.getchannel("A").getdata()) == {opacity}
    Image.new("RGB", (20, 10)).save("tiny.png")
    with pytest.raises(ValueError, match="watermark needs pictures of at least 32 pixels a side, got 60 x 30"):
        run(runs["espcn"], "input=tiny.png", "watermark=k")
    with pytest.raises(ValueError, match="watermark_strength must be left as it is without watermark=<key>, got 9"):
        run(runs["espcn"], "input=photo.png", "watermark_strength=9", "out=tiny_restored.png")
    assert not Path("tiny_restored.png").exists()


def test_kinds_of_pictures(runs, place):
    clear = np.dstack([place, np.full((31, 45), 128, dtype=np.uint8)])
    Image.fromarray(clear).save("clear.png")
    Image.fromarray(place[..., 0].astype(np.uint16) * 257).save("deep.png")
    Image.fromarray(place[..., 0]).save("grey.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(place).save("turned.jpg", exif=turned)
    for name in ("clear.png", "deep.png", "grey.png", "turned.jpg"):
        run(runs["espcn"], f"input={name}")
    made = {name: Image.open(f"{name}_restored.png") for name in ("clear", "deep", "grey", "turned")}
    assert {name: each.mode for name, each in made.items()} == {
        "clear": "RGBA",
        "deep": "L",
        "grey": "L",
        "turned": "RGB",
    }
    assert made["turned"].size == (93, 135)
    assert (np.asarray(made["clear"])[..., 3] == 128).all()
    assert made["deep"].tobytes() == made["grey"].tobytes()  # 16 bits are read as 8


def test_a_folder_is_restored_with_its_names(runs):
    for name in ("a/one.png", "a/in/two.jpg"):
        (path := Path(name)).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 17), (9, 200, 40)).save(path)
    run(runs["denoising"], "input=a", "out=b")
    assert [Image.open(f"b/{name}").size for name in ("one.png", "in/two.png")] == [(20, 17)] * 2


def test_a_photograph_can_be_degraded_first(runs, capsys):
    run(runs["espcn"], "input=china.jpg", "degrade=true", "out=china.png")
    assert Image.open("china.png").size == (639, 426)
    assert Image.open("china_degraded.png").size == (213, 142)
    assert Image.open("china.png").mode == Image.open("china_degraded.png").mode == "RGB"
    assert "china.jpg: PSNR of Y" in capsys.readouterr().out


def test_what_cannot_be_done_is_refused_before_any_work(runs, monkeypatch):
    (folder := Path("twins")).mkdir()
    for name in ("x.png", "x.jpg"):
        Image.new("L", (20, 20)).save(folder / name)
    (folder / "damaged.png").write_bytes(b"no picture")
    monkeypatch.setattr("genexp.restoration.restorer.Restorer.__call__", None)  # nothing may be restored
    for typed, kind, told in (
        (["input=no.png"], FileNotFoundError, "input must be a picture file .* got no.png"),
        (["input=photo.png", "out=x.jpg"], ValueError, "out must end in .png, got x.jpg"),
        (["input=photo.png", "out=photo.png"], ValueError, "out must not be the input picture itself"),
        (["input=photo.png", "max_pixels=1394"], BadImage, "it has 45 x 31 pixels, more than max_pixels=1394"),
        (["input=photo.png", "max_pixels=12000"], BadImage, "its result would have 135 x 93 pixels, more than"),
        (["input=twins"], ValueError, "input must hold pictures of different names, got x.jpg, x.png"),
        (["input=twins/damaged.png"], BadImage, "it cannot be read as any of PNG"),
        (["input=photo.png", "checkpoint=none"], FileNotFoundError, "checkpoint must be"),
        ([], ValueError, "input must name a picture or a folder of them"),
    ):
        with pytest.raises(kind, match=told):
            run(runs["espcn"], *typed)
    with pytest.raises(ValueError, match="run must name the run that restores, got none"):
        restore(compose("restore", ["input=photo.png"]))


def test_runs_that_restore_nothing_are_refused_and_those_of_pairs_are_not_degraded(tmp_path):
    vae = tiny.run([*tiny.overrides_for("vae"), "training.max_images=32", f"paths.outputs={tmp_path / 'vae'}"])
    with pytest.raises(ValueError, match="run must be one that restores pictures: a picture is restored by a model"):
        run(vae, "input=photo.png")
    short = [each for each in SHORT if not each.startswith("data.source")]
    pairs = ["model=image_to_image", "model.generator.width=4", "model.generator.widest=8"]
    few = ["data.source.train_images=8", "data.source.val_images=2", "model.critic.discriminator.width=4"]
    folder = tiny.run([*pairs, *short, *few, f"paths.outputs={tmp_path / 'pairs'}"])
    run(folder, "input=photo.png", "out=translated.png")
    assert Image.open("translated.png").size == (45, 31)
    with pytest.raises(ValueError, match="degrade must be false for a run whose pictures the data have"):
        run(folder, "input=photo.png", "degrade=true")


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_weights_of_others_restore_pictures_in_the_place_of_a_run(place, scale, capsys):
    torch.manual_seed(scale)
    network = Rrdb(8 * scale, 3, {"source": Picture((3, 8, 8))}, depth=1, width=6, growth=4)
    torch.save({"params_ema": network.state_dict()}, "others.pth")
    given = ["published=others.pth", "device=cpu", "threads=1"]
    restore(compose("restore", [*given, "input=photo.png", "tile=16"]))
    made = torch.tensor(np.asarray(Image.open("photo_restored.png")).astype(np.float32)).permute(2, 0, 1)
    picture = torch.tensor(place).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert (made.shape[1], made.shape[2]) == (31 * scale, 45 * scale)
    if scale == 4:  # the others see squares of pixels, which 31 x 45 are no multiple of
        expected = ((network.restored(picture).clamp(-1, 1) + 1) * 127.5).round()[0].detach()
        assert (made - expected).abs().max() <= 1
    if scale > 1:
        restore(compose("restore", [*given, "input=photo.png", "degrade=true"]))
        assert "PSNR of Y" in capsys.readouterr().out


def test_weights_between_two_runs_restore(runs, tmp_path, monkeypatch):
    later = ["model.generator_optimizer.lr=0.01", "model.adversarial_weight=0"]
    begun = ["initial=run", f"initial.run={runs['espcn'].path}", "initial.only=[generator]"]
    gan = ["experiment=srgan/photographs", "model/generator=espcn", "~model.generator.depth", "~model.generator.width"]
    same = ["data.channels=1", "data.augment=[]", "model.conditions.source.degradation.factor=3"]
    same += ["model.generator_penalties.perceptual.weight=0", "model.conditions.source.eight_bits=false"]
    other = tiny.run([*gan, *same, *SHORT, *begun, *later, f"paths.outputs={tmp_path / 'gan'}"])
    made = {}
    for share in (0, 0.3, 1):
        run(other, f"other_run={runs['espcn'].path}", f"share={share}", "input=photo.png", "out=mixed.png")
        made[share] = np.asarray(Image.open("mixed.png")).astype(int)
    for share, folder in ((0, other), (1, runs["espcn"])):
        run(folder, "input=photo.png", "out=alone.png")
        assert np.array_equal(made[share], np.asarray(Image.open("alone.png")))
    weights = [load_run(folder.path).model.generator.state_dict() for folder in (other, runs["espcn"])]
    between = load_run(other.path).model
    between.generator.load_state_dict({name: 0.7 * weights[0][name] + 0.3 * weights[1][name] for name in weights[0]})
    expected = Restorer(between)(to_tensor(Image.open("photo.png"))).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(made[0.3] - expected).max() <= 1
    assert (made[0.3] != made[0]).any()
    told = Image.open("mixed.png").text["genexp"]
    assert all(folder.record["id"] in told for folder in (other, runs["espcn"]))


def test_another_run_that_does_not_fit_is_refused_before_any_work(runs, monkeypatch):
    monkeypatch.setattr("genexp.restoration.restorer.Restorer.__call__", None)  # nothing may be restored
    for typed, kind, told in (
        (["share=0.3"], ValueError, "share must be null without other_run=<run>, whose share it is, got 0.3"),
        ([f"other_run={runs['denoising'].path}"], ValueError, "other must have the model's generator, got"),
        (["other_run=nowhere"], FileNotFoundError, "other_run: run must be a run folder"),
        (
            [f"other_run={runs['espcn'].path}", "weights=averaged+int8_weight_only"],
            ValueError,
            "weights must be as they were trained with other_run",
        ),
    ):
        with pytest.raises(kind, match=told):
            run(runs["espcn"], "input=photo.png", *typed)
    with pytest.raises(ValueError, match="other_run must be null with published, got o"):
        restore(compose("restore", ["published=p.pth", "other_run=o", "input=photo.png"]))


def test_weights_that_are_none_or_stand_beside_a_run_are_refused(monkeypatch):
    torch.save({"fc.weight": torch.ones(2, 2)}, "other.pth")
    for typed, told in (
        (["published=other.pth"], "other.pth lacks conv_first.weight"),
        (["published=none.pth"], "weights must be a file with a state dict of RRDBNet"),
        (["published=other.pth", "run=outputs"], "published must be null with run, in whose place it stands"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=told):
            restore(compose("restore", [*typed, "input=photo.png", "device=cpu", "threads=1"]))


def test_what_was_degraded_replaces_no_picture_and_no_result(runs, place):
    Path("photos").mkdir()
    for name in ("a.png", "a_degraded.png"):
        Image.fromarray(place).save(f"photos/{name}")
    with pytest.raises(ValueError, match=r"input must leave the name a_degraded\.png to what degrade=true writes"):
        run(runs["espcn"], "input=photos", "degrade=true")
    with pytest.raises(ValueError, match=r"out must not be the input picture itself, got photos/a_degraded\.png"):
        run(runs["espcn"], "input=photos/a_degraded.png", "out=photos/a.png", "degrade=true")
    assert np.array_equal(np.asarray(Image.open("photos/a_degraded.png")), place)
    run(runs["espcn"], "input=photos", "out=made")
    assert sorted(path.name for path in Path("made").iterdir()) == ["a.png", "a_degraded.png"]


def test_what_is_too_small_to_be_measured_is_told_by_name_and_before_the_first(runs, capsys):
    Path("photos").mkdir()
    Image.new("RGB", (12, 9), 3).save("photos/a.png")
    Image.new("RGB", (12, 8), 3).save("photos/b.png")
    told = "b.png: it has 12 x 8 pixels, and degrade=true measures what has at least 9 at every side"
    with pytest.raises(BadImage, match=told):
        run(runs["espcn"], "input=photos", "degrade=true")
    assert not Path("photos_restored").exists()
    run(runs["espcn"], "input=photos/a.png", "degrade=true")
    shown = capsys.readouterr().out
    assert "too small for SSIM" in shown
    assert "nan" not in shown


def test_of_a_folder_a_result_that_cannot_be_written_is_told_before_the_first(runs):
    for name in ("a", "b"):
        Path("photos").mkdir(exist_ok=True)
        Image.new("RGB", (12, 9), 3).save(f"photos/{name}.png")
    Path("made/b.png").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"out must name a file, got made/b.png, which is a folder"):
        run(runs["espcn"], "input=photos", "out=made")
    assert [each.name for each in Path("made").iterdir()] == ["b.png"]
