"""genexp stylize: two pictures in, one PNG out, and clear refusals before any work."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from genexp.commands.stylize import stylize
from genexp.commands.train import train
from genexp.config.compose import compose
from genexp.data.picture_tensors import to_tensor
from genexp.data.source import BadImage
from genexp.families.terms import NonFiniteLoss
from genexp.inference.marked_pixels import FALSE_POSITIVES, find
from genexp.inference.stylising.methods import METHODS
from genexp.runs.picture_origin import read_claim

FAST = ["size=32", "device=cpu"]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A wide content and a tall style picture, with the test's folder as the working folder."""
    monkeypatch.chdir(tmp_path)
    noise = torch.randint(256, (60, 100, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    Image.fromarray(noise).save("content.png")
    Image.new("L", (40, 80), 90).save("style.jpg")
    return ["content=content.png", "style=style.jpg"]


def run(*overrides):
    optimised = not any(each.startswith("method=") for each in overrides)
    stylize(compose("stylize", [*FAST, *(["steps=3"] if optimised else []), *overrides]))


def test_a_picture_keeps_the_contents_shape_and_is_reported(pictures, tmp_path, capsys):
    run(*pictures)
    made = Image.open(tmp_path / "content_as_style.png")
    assert (made.size, made.mode) == ((32, 16), "RGB")  # 32 x 19.2, to the nearest multiples of 8
    shown = capsys.readouterr().out
    assert "content_as_style.png" in shown
    assert "32 x 16" in shown
    assert "3 steps" in shown


def test_a_picture_says_of_what_it_is_made(pictures, tmp_path):
    run(*pictures)
    told = Image.open(tmp_path / "content_as_style.png").text["genexp"]
    assert all(f'"title": "{name}"' in told for name in ("content.png", "style.jpg"))
    assert dict(read_claim(told).rows)["action"] == "c2pa.edited, compositeWithTrainedAlgorithmicMedia"
    run(*pictures, "out=plain.png", "provenance=false")
    assert Image.open(tmp_path / "plain.png").text == {}


def test_painted_pictures_and_textures_are_marked_and_small_ones_refused(network, pictures, tmp_path):
    run(*pictures, "method=adain", f"run={network}", "size=64", "watermark=k", "out=painted.png")
    run("style=content.png", "method=quilting", "patch=16", "size=40", "watermark=k", "out=texture.png")
    for name in ("painted.png", "texture.png"):
        made = to_tensor(Image.open(tmp_path / name).convert("RGB"))
        assert find(made, "k").p_value < FALSE_POSITIVES
        assert find(made, "other").p_value > 0.001
    for typed, size in ((pictures, "32 x 16"), (["style=content.png", "method=quilting", "size=24"], "24 x 24")):
        with pytest.raises(ValueError, match=f"watermark needs pictures of at least 32 pixels a side, got {size}"):
            run(*typed, "watermark=k", "out=refused.png")
    with pytest.raises(ValueError, match="watermark_strength must be left as it is without watermark=<key>, got 9"):
        run(*pictures, "watermark_strength=9", "out=refused.png")
    assert not (tmp_path / "refused.png").exists()


def test_the_same_command_makes_the_same_picture(pictures, tmp_path):
    for name in ("a", "b"):
        run(*pictures, f"out=made/{name}.png", "model.init=noise")
    run(*pictures, "out=made/c.png", "model.init=noise", "seed=1")
    a, b, c = ((tmp_path / "made" / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_without_style_the_content_comes_back(pictures, tmp_path):
    run(*pictures, "out=same.png", "model.style_weight=0", "model.tv_weight=0", "size=80")
    original = Image.open(tmp_path / "content.png").resize((80, 48), Image.Resampling.LANCZOS)
    assert Image.open(tmp_path / "same.png").tobytes() == original.tobytes()


def test_the_photographs_of_scikit_learn_are_known_by_name(pictures, tmp_path):
    run("content=china.jpg", "style=flower.jpg", "steps=1")
    assert Image.open(tmp_path / "china_as_flower.png").size == (32, 24)


def test_recipes_of_the_style_family_work_here(pictures, tmp_path):
    run(*pictures, "experiment=gatys/statistics", "out=statistics.png")
    run(*pictures, "experiment=gatys/adam", "out=adam.png")
    run(*pictures, "out=gram.png")
    made = {name: (tmp_path / f"{name}.png").read_bytes() for name in ("statistics", "adam", "gram")}
    assert len(set(made.values())) == 3


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A run folder of a network that was trained for a moment."""
    outputs = tmp_path_factory.mktemp("outputs")
    length = ["training.max_images=4", "training.evaluate_every=4", "training.checkpoint_every=4"]
    small = ["data.image_size=16", "data.batch_size=2", f"paths.outputs={outputs}"]
    train(config := compose("train", ["model=adain", *tiny.COMMON, *length, *small]))
    return tiny.newest(Path(config.paths.outputs)).path


def test_a_network_of_one_style_is_given_none(pictures, tmp_path):
    length = ["training.max_images=4", "training.evaluate_every=4", "training.checkpoint_every=4"]
    folder = tiny.run(["model=johnson", *tiny.COMMON, *length, "data.image_size=20", "data.batch_size=2"]).path
    johnson = ["content=content.png", "method=johnson", f"run={folder}"]
    run(*johnson, "size=null")
    assert Image.open(tmp_path / "content_painted.png").size == (100, 60)
    run(*johnson, "colours=luminance", "out=light.png")
    for wrong, message in (
        (["style=style.jpg"], r"style must be null for method=johnson, which reads none, got style\.jpg"),
        (["alpha=0.5"], "alpha belongs to method=adain and method=quilting_transfer, got 0.5 with method=johnson"),
        (["colours=matched"], "colours must be style or luminance for method=johnson, without style, got matched"),
        (["style=style.jpg", "method=adain"], "run must be a run of model=adain, got one of StyleNetwork of one style"),
    ):
        with pytest.raises(ValueError, match=message):
            run(*johnson, *wrong)


def test_a_diffusion_run_paints_from_the_noised_content(pictures, tmp_path):
    folder = tiny.run(tiny.overrides_for("diffusion")).path
    model = ["model/features=cifar_vgg", "model.features.last=relu2_1", "model.style_layers=[relu1_1]"]
    diffusion = [*pictures, "method=diffusion", f"run={folder}", *model, "model.content_layers=[relu1_1]"]
    stylize(compose("stylize", ["device=cpu", *diffusion, "out=a.png"]))
    stylize(compose("stylize", ["device=cpu", *diffusion, "out=b.png", "style_scale=5"]))
    stylize(compose("stylize", ["device=cpu", *diffusion, "out=c.png", "strength=1"]))
    a, b, c = (Image.open(tmp_path / f"{name}.png") for name in "abc")
    assert (a.size, a.mode) == ((8, 8), "RGB")
    assert len({each.tobytes() for each in (a, b, c)}) == 3
    for wrong, message in (
        (["size=64"], "size must be left as it is for method=diffusion, the run has its own; got 64"),
        (["colours=luminance"], "colours must be style or matched for method=diffusion, got luminance"),
        (["steps=5"], "steps belongs to method=gatys, got 5 with method=diffusion"),
    ):
        with pytest.raises(ValueError, match=message):
            stylize(compose("stylize", ["device=cpu", *diffusion, *wrong]))


def level_of(path, where=...):
    return torch.from_numpy(np.array(Image.open(path))).double()[where]


def test_several_styles_are_blended_by_weight_or_by_region(network, pictures, tmp_path):
    mask = Image.new("L", (100, 60))
    mask.paste(255, (0, 0, 50, 60))
    mask.save("left.png")
    Image.eval(mask, lambda value: 255 - value).save("right.png")
    adain = ["content=content.png", "method=adain", f"run={network}", "size=64"]
    run(*adain, "style=style.jpg", "out=a.png")
    run(*adain, "style=content.png", "out=b.png")
    run(*adain, "style=[style.jpg,content.png]", "style_weights=[3,1]", "out=blend.png")
    run(*adain, "style=[style.jpg,content.png]", "masks=[left.png,right.png]", "out=regions.png")
    run(*adain, "style=style.jpg", "colours=luminance", "out=light.png")
    a, b, blend, regions = (level_of(f"{name}.png") for name in ("a", "b", "blend", "regions"))
    assert (blend - a).abs().mean() < (blend - b).abs().mean()
    assert (regions[:, :16] - a[:, :16]).abs().mean() < (regions[:, :16] - b[:, :16]).abs().mean()
    assert (regions[:, -16:] - b[:, -16:]).abs().mean() < (regions[:, -16:] - a[:, -16:]).abs().mean()
    with pytest.raises(ValueError, match="style_weights must be null with masks"):
        run(*adain, "style=[style.jpg,content.png]", "masks=[left.png,right.png]", "style_weights=[1,1]")


def test_a_folder_becomes_a_folder_and_sizes_are_kept(network, pictures, tmp_path, capsys):
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name, size in (("b.png", (33, 21)), ("a.jpg", (17, 40)), ("deep/c.png", (16, 9))):
        Image.new("RGB", size, (200, 10, 10)).save(tmp_path / "photos" / name)
    run("content=photos", "style=style.jpg", "method=adain", f"run={network}", "size=null")
    out = tmp_path / "photos_as_style"
    made = {path.relative_to(out).as_posix(): Image.open(path).size for path in out.rglob("*.png")}
    assert made == {"a.png": (17, 40), "b.png": (33, 21), "deep/c.png": (16, 9)}
    told = capsys.readouterr().out
    assert "photos_as_style" in told
    assert "3 pictures" in told
    with pytest.raises(ValueError, match=r"out must not be the content picture itself, got photos/b\.png"):
        run("content=photos", "style=style.jpg", "out=photos")
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "b.jpg")
    with pytest.raises(ValueError, match=r"content must hold pictures of different names, got b\.jpg, b\.png"):
        run("content=photos", "style=style.jpg")


def test_optimised_pictures_blend_styles_and_keep_to_masks(pictures, tmp_path):
    for name, box in (("left", (0, 0, 50, 60)), ("right", (50, 0, 100, 60))):
        mask = Image.new("L", (100, 60))
        mask.paste(255, box)
        mask.save(f"{name}.png")
    two = [*pictures[:1], "style=[style.jpg,content.png]"]
    run(*two, "out=equal.png")
    run(*two, "style_weights=[9,1]", "out=first.png")
    run(*two, "masks=[left.png,right.png]", "out=halves.png")
    run(*pictures, "model.pyramid=[0.5]", "model.pyramid_steps=2", "out=pyramid.png")
    made = {(tmp_path / f"{name}.png").read_bytes() for name in ("equal", "first", "halves", "pyramid")}
    assert len(made) == 4
    Image.new("L", (50, 60), 255).save("small.png")
    with pytest.raises(ValueError, match=r"masks must be of the content's size, 100 x 60, got 50 x 60 in small\.png"):
        run(*two, "masks=[left.png,small.png]", "out=none.png")
    with pytest.raises(ValueError, match="a mask needs style losses that take any set of positions, got PatchLoss"):
        run(*two, "masks=[left.png,right.png]", "model/style_loss=patches", "out=none.png")


def test_textures_are_put_together_from_the_style(pictures, tmp_path):
    Image.radial_gradient("L").resize((40, 40)).convert("RGB").save("sample.png")
    sample = ["style=sample.png", "style_size=24"]
    run(*sample, "method=efros_leung", "window=3", "size=16")
    assert Image.open(tmp_path / "texture_as_sample.png").size == (16, 16)
    run(*sample, "method=quilting", "patch=6", "size=40", "out=quilt.png")
    run(*sample, *pictures[:1], "method=quilting_transfer", "patch=6", "out=transfer.png")
    small = Image.open("sample.png").resize((24, 24), Image.Resampling.LANCZOS)
    known = {colour for _, colour in small.getcolors(10_000)}
    for name, size in (("texture_as_sample", (16, 16)), ("quilt", (40, 40)), ("transfer", (32, 16))):
        made = Image.open(tmp_path / f"{name}.png")
        assert made.size == size
        assert {colour for _, colour in made.getcolors(10_000)} <= known
        assert dict(read_claim(made.text["genexp"]).rows)["action"] == "c2pa.edited, composite"


def test_a_trained_network_stylizes_in_one_pass(network, pictures, tmp_path):
    adain = [*pictures, "method=adain", f"run={network}"]
    run(*adain, "out=full.png")
    run(*adain, "out=none.png", "alpha=0")
    assert Image.open(tmp_path / "full.png").size == (32, 16)
    assert (tmp_path / "full.png").read_bytes() != (tmp_path / "none.png").read_bytes()


def test_a_run_of_another_family_is_refused(pictures):
    folder = tiny.run([*tiny.overrides_for("style"), "training.max_images=2"])
    with pytest.raises(ValueError, match="run must be a run of model=adain, got one of StyleOptimisation"):
        run(*pictures, "method=adain", f"run={folder.path}")


def test_a_diverging_loss_makes_no_picture(pictures, tmp_path):
    with pytest.raises(NonFiniteLoss, match="must stay finite"):
        run(
            *pictures,
            "model.style_weight=1e38",
            "model.content_weight=1e38",
            "model.tv_weight=1e38",
            "model.init=noise",
        )
    assert not (tmp_path / "content_as_style.png").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["size=8"], "size: must be a whole number of at least 16 or null, got 8"),
        (["style_size=4"], "style_size: must be a whole number of at least 16 or null, got 4"),
        (["steps=0"], "steps: must be a whole number of at least 1, got 0"),
        (
            ["method=magic"],
            "method: must be one of gatys, adain, johnson, diffusion, efros_leung, quilting, quilting_transfer, got",
        ),
        (["method=adain"], "run must name a run of model=adain"),
        (["method=adain", "run=x", "alpha=2"], "alpha: must be a number from 0 to 1 or null, got 2"),
        (["alpha=0.5"], "alpha belongs to method=adain and method=quilting_transfer, got 0.5 with method=gatys"),
        (["method=adain", "run=x", "steps=5"], "steps belongs to method=gatys, got 5 with method=adain"),
        (["style=[]"], "style must name at least one picture for method=gatys"),
        (["style_weights=[0.5,0.5]"], "style_weights must have one number for each of 1 styles, got 2"),
        (["method=quilting"], "content must be null for method=quilting, which reads none, got content.png"),
        (
            ["method=quilting", "content=null", "style=[style.jpg,content.png]"],
            "must be one picture for method=quilting",
        ),
        (["method=efros_leung", "content=null", "window=4"], "window must be odd, got 4"),
        (["method=efros_leung", "content=null", "size=null"], "size must be the texture's pixels a side"),
        (["patch=8"], "patch belongs to method=quilting and method=quilting_transfer, got 8 with method=gatys"),
        (["content=null"], "content must name a picture or a folder of them for method=gatys"),
        (["style=null"], "style must name a picture for method=gatys"),
        (["colours=sepia"], "colours: must be one of style, matched, luminance, got 'sepia'"),
        (["method=adain", "run=x", "style=[style.jpg,content.png]", "style_weights=[1]"], "one number for each of 2"),
        (["method=adain", "run=x", "masks=content.png", "style=[style.jpg,content.png]"], "one picture for each of 2"),
        (["device=abacus"], "device: must be one of auto, cpu, cuda, .*, got 'abacus'"),
        (["out=picture.jpg"], "out must end in .png, got picture.jpg"),
        (["out=content.png"], "out must not be the content picture itself, got content.png"),
        (["model=vae"], r"model must be style for method=gatys, got genexp.families.vae.VAE"),
        (["+model.style_wight=1"], "did you mean style_weight?"),
    ],
)
def test_wrong_options_are_refused(overrides, message, pictures, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        run(*pictures, *overrides)
    assert sorted(tmp_path.iterdir()) == before


def test_pictures_are_checked_first(pictures, tmp_path):
    with pytest.raises(ValueError, match="style must name a picture for method=gatys: genexp stylize content="):
        run("content=content.png")
    with pytest.raises(FileNotFoundError, match=r"style must be a picture file .* got nothing\.png"):
        run("content=content.png", "style=nothing.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "content.png").read_bytes()[:200])
    with pytest.raises(BadImage, match=r"cannot use image broken\.png"):
        run("content=broken.png", "style=style.jpg")
    with pytest.raises(FileNotFoundError, match="run must be a run folder"):
        run(*pictures, "method=adain", "run=nowhere")


def test_a_missing_picture_is_told_before_anything_is_imported_or_checked(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "genexp.config.validation", None)
    for wrong in (["content=missing.jpg", "style=style.jpg"], ["content=content.png", "style=missing.jpg"]):
        with pytest.raises(FileNotFoundError, match=r"must be a picture file .* got missing\.jpg"):
            run(*wrong)


@pytest.mark.parametrize("sides", [(15, 40), (40, 15), (1, 1)])
def test_a_style_smaller_than_what_is_looked_at_is_refused_before_it_is_read(sides, pictures, monkeypatch):
    Image.new("RGB", sides, (200, 3, 3)).save("tiny.png")
    told = f"style must have at least 16 pixels at every side, which are looked at, got {sides[0]} x {sides[1]} in tiny"
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "resize", None)
        for typed in ("style=tiny.png", "style=[style.jpg,tiny.png]"):
            with pytest.raises(ValueError, match=told):
                run("content=content.png", typed)
    run("content=null", "style=tiny.png", "method=quilting", "size=16", "patch=3", "style_size=16")


def test_of_a_moving_picture_the_first_frame_is_painted_and_that_is_said(pictures, tmp_path, capsys):
    frames = [Image.new("RGB", (40, 40), (level, 0, 0)) for level in (200, 0)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    run("content=moving.gif", "style=style.jpg", "model.style_weight=0", "model.tv_weight=0", "steps=1")
    assert "the first frame is read of 1 file with several: moving.gif" in capsys.readouterr().err
    assert Image.open(tmp_path / "moving_as_style.png").getpixel((9, 9))[0] > 150


@pytest.mark.parametrize("odd", ["pipe", "EPS"])
def test_what_is_no_picture_file_is_refused(pictures, odd):
    if odd == "pipe":
        os.mkfifo("odd.png")
    else:
        Image.new("RGB", (40, 40)).save("odd.png", format=odd)
    with pytest.raises(BadImage, match=r"cannot use image odd\.png: it (is not a regular file|cannot be read as)"):
        run("content=odd.png", "style=style.jpg")


def test_a_decompression_bomb_is_refused_by_its_header(pictures, tmp_path):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 50_000
    with pytest.raises(BadImage, match="10000 x 10000 pixels, more than max_pixels"):
        run("content=bomb.png", "style=style.jpg")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["size=100000"], "size must leave every picture at most 50000000 pixels, got 100000, at which style.jpg has"),
        (["size=9999", "style_size=64"], "size must .*, got 9999, at which content.png has 10000 x 6000"),
        (["style_size=20000"], "style_size must .*, got 20000, at which style.jpg has 10000 x 20000"),
        (
            ["content=null", "method=quilting", "size=8000", "style_size=64"],
            "at which the texture has 8000 x 8000",
        ),
    ],
)
def test_a_size_that_no_memory_holds_is_refused_before_it_is_made(typed, told, pictures, monkeypatch):
    monkeypatch.setattr(Image.Image, "resize", None)
    with pytest.raises(ValueError, match=told):
        run(*pictures, *typed)


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("style.jpg/made.png", "out must lie in a folder, got style.jpg/made.png: style.jpg is a file"),
        ("/proc/made/a.png", "out must lie where files can be written, got /proc/made/a.png: no such file"),
        ("taken.png", "out must name a file, got taken.png, which is a folder"),
    ],
)
def test_a_place_that_takes_no_result_is_told_before_it_is_painted(out, told, pictures, tmp_path, monkeypatch):
    if out.startswith("/proc") and not sys.platform.startswith("linux"):
        pytest.skip("of Linux")
    (tmp_path / "taken.png").mkdir()
    monkeypatch.setattr(METHODS["quilting_transfer"], "painter", None)
    with pytest.raises(ValueError, match=told):
        run(*pictures, "method=quilting_transfer", f"out={out}")
