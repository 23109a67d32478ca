"""`genexp sample`: the pictures a person asked for, and the same image for the same index whatever else changes."""

import json
import re
import shutil
import sys

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import genexp
import tiny
from genexp import load_run
from genexp.__main__ import main
from genexp.commands import validate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.inference.drawing import Drawing
from genexp.inference.sampler_config import sampler_node, varied
from genexp.sampling.base import Snapshot
from genexp.sampling.visualisation import Pictures

GUIDED, INTERVAL = (f"genexp.sampling.guidance.{name}" for name in ("ClassifierFree", "Interval"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("runs")
    length = ["training.max_images=64", "training.evaluate_every=64"]
    return {
        "diffusion": tiny.run(
            [
                *tiny.overrides_for("diffusion"),
                *length,
                f"paths.outputs={outputs / 'd'}",
                "sampler.steps=7",
                "model.num_classes=10",
            ]
        ),
        "gan": tiny.run([*tiny.overrides_for("gan"), *length, f"paths.outputs={outputs / 'g'}"]),
        "vae": tiny.run([*tiny.overrides_for("vae"), *length, f"paths.outputs={outputs / 'v'}"]),
        "style": tiny.run([*tiny.overrides_for("style"), f"paths.outputs={outputs / 's'}"]),
    }


def draw(folder, out, *overrides):
    sample(compose("sample", [f"run={folder.path}", f"out={out}", *overrides]))
    return out


def singles(out):
    return {path.name: Image.open(path).tobytes() for path in sorted((out / "images").glob("*.png"))}


@pytest.mark.parametrize("family", ["gan", "vae", "diffusion"])
def test_image_i_is_the_same_for_any_number_and_batch_size(family, runs, tmp_path):
    few = singles(draw(runs[family], tmp_path / "few", "num=3", "batch_size=2"))
    many = singles(draw(runs[family], tmp_path / "many", "num=11", "batch_size=11"))
    other = singles(draw(runs[family], tmp_path / "other", "num=3", "seed=1"))
    assert len(many) == 11
    assert all(many[name] == image for name, image in few.items())
    assert other != few


def test_the_record_says_how_the_images_were_drawn(runs, tmp_path):
    out = draw(runs["diffusion"], tmp_path, "num=2", "++sampler.steps=3", "weights=raw", "checkpoint=last", "label=4")
    record = json.loads((out / "sample.json").read_text())
    assert record["sampler"]["steps"] == 3
    assert record["sampler"]["_target_"] == "genexp.sampling.dpm_solver.DPMSolver2M"
    assert (record["weights"], record["checkpoint"], record["condition"]) == ("raw", "last.ckpt", {"label": 4})
    assert record["evaluations"] == 3
    assert record["images_seen"] == 64


def test_what_is_drawn_otherwise_lies_in_a_folder_of_its_own(runs, tmp_path):
    folder = type(runs["diffusion"])(tmp_path / "run")
    shutil.copytree(runs["diffusion"].path, folder.path)
    ways = {
        "seed0_dpmsolver2m3_averaged": [],
        "seed0_ddim3_eta1_averaged": ["sampler=ddim", "sampler.eta=1"],
        "seed0_ddim3_eta1_guidance-classifierfree_scale2_averaged": [
            "sampler=ddim",
            "sampler.eta=1",
            "sampler/guidance=classifier_free",
            "sampler.guidance.scale=2",
        ],
        "seed0_dpmsolver2m3_label4_averaged": ["label=4"],
        "seed0_dpmsolver2m3_raw": ["weights=raw"],
        "seed1_dpmsolver2m3_averaged": ["seed=1"],
        "last_seed0_dpmsolver2m3_averaged": ["checkpoint=last"],
    }
    few = ["num=2", "frames=0", "interpolate=0", "++sampler.steps=3"]
    for overrides in ways.values():
        sample(compose("sample", [f"run={folder.path}", *few, *overrides]))
    records = {path.parent.name: json.loads(path.read_text()) for path in folder.samples.glob("*/sample.json")}
    assert set(records) == set(ways)
    told = ("seed", "weights", "condition", "checkpoint", "sampler")
    assert len({json.dumps([record[key] for key in told], sort_keys=True) for record in records.values()}) == len(ways)


def test_a_drawing_that_fails_leaves_its_folder_as_it_was(runs, tmp_path, monkeypatch):
    from genexp.inference.drawing import Drawing

    def full(*_):
        raise OSError(28, "No space left on device")

    out = draw(runs["vae"], tmp_path / "out", "num=3")
    (out / "mine.txt").write_text("stays")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for kind, name in ((Drawing, "images"), (Pictures, "interpolation")):  # before, and in the midst of writing
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, full)
            for place in (out, tmp_path / "new"):
                with pytest.raises(OSError, match="No space left"):
                    draw(runs["vae"], place, "num=2", "seed=1")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_drawn_before_does_not_stay_among_what_is_drawn_now(runs, tmp_path):
    out = draw(runs["vae"], tmp_path / "out", "num=3")
    (out / "images/mine.png").write_bytes(b"stays")
    draw(runs["vae"], out, "num=2", "interpolate=0")
    assert {path.name for path in out.iterdir()} == {"grid.png", "images", "sample.json"}
    assert {path.name for path in (out / "images").iterdir()} == {"000000.png", "000001.png", "mine.png"}


def test_another_sampler_can_be_named(runs, tmp_path):
    out = draw(runs["diffusion"], tmp_path, "num=2", "sampler=ddpm", "sampler.steps=4", "frames=3", "rows=2")
    assert json.loads((out / "sample.json").read_text())["sampler"]["_target_"].endswith("DDPM")
    width, height = Image.open(out / "denoising.png").size
    margin = width - (3 * 58 + 2), height - (2 * 2 * 58 + 2)  # "sample 0: noisy" beside the rows, "t = 100" above
    assert 60 < margin[0] < 140
    assert 12 < margin[1] < 30


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("sampler.steps=0", "sampler.steps: must lie between 1 and the schedule's 1000, got 0"),
        (
            "sampler.guidance=2",
            "got 2: type sampler.guidance.scale=2, with sampler/guidance=classifier_free where there",
        ),
        ("sampler.foo=2", "(set by the command line: sampler.foo=2)"),
        ("sampler/spacing=leading", "sampler/spacing: is not a key of "),
        ("sampler.steps", "an override must read key=value or group=choice, got 'sampler.steps'"),
    ],
)
def test_what_does_not_fit_a_runs_sampler_is_told_as_it_was_typed(command, typed, told, runs, capsys, monkeypatch):
    arguments = [command, f"run={runs['diffusion'].path}", typed]
    monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
    with pytest.raises(SystemExit):
        main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert "+" not in line


def test_times_above_a_strip_are_rounded(runs, monkeypatch):
    """Those of a schedule of whole numbers are whole; real ones have three significant digits."""
    run = load_run(runs["diffusion"].path)
    drawing = Drawing(run, sampler_node(run.config, OmegaConf.create({"steps": 3})), "cpu", 0, 2, None)
    assert drawing.pictures.denoising(1, 4).across == ["t = 1000", "t = 667", "t = 333", "t = 0"]
    real = [Snapshot(time, torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)) for time in (1.0, 0.123456)]
    monkeypatch.setattr(drawing.sampler, "trajectory", lambda *_: real)
    assert drawing.pictures.denoising(1, 2).across == ["t = 1", "t = 0.123"]


def test_interpolation_begins_and_ends_at_the_samples(runs, tmp_path):
    from genexp.inference.drawing import Drawing
    from genexp.inference.run import load_run

    run = load_run(runs["diffusion"].path)
    drawing = Drawing(run, run.config.sampler, "cpu", seed=0, batch_size=5, condition={"label": 2})
    images, arcs = drawing.images(4), drawing.pictures.interpolation(rows=2, count=3).samples
    assert (arcs[0] - images[0]).abs().max() < 1e-5
    assert (arcs[2] - images[1]).abs().max() < 1e-5
    assert (arcs[3] - images[2]).abs().max() < 1e-5


def test_fresh_noise_has_no_path_of_images(runs, tmp_path):
    """As it comes no arc is drawn then; one that is asked for is refused before anything is drawn."""
    few = ["num=2", "frames=0", "sampler=ddpm", "sampler.steps=2"]
    out = draw(runs["diffusion"], tmp_path / "out", *few)
    assert {path.name for path in out.iterdir()} == {"grid.png", "images", "sample.json"}
    told = "interpolate must be 0 for a sampler that adds fresh noise in its steps, .*, got DDPM; sampler=ddim is one"
    with pytest.raises(ValueError, match=told):
        draw(runs["diffusion"], tmp_path / "other", *few, "interpolate=3")
    assert not (tmp_path / "other").exists()


def test_a_sheet_has_a_row_a_value_and_a_column_a_noise(runs, tmp_path):
    run = load_run(runs["diffusion"].path)
    node = sampler_node(run.config, OmegaConf.create({"steps": 2, "guidance": {"_target_": GUIDED, "scale": 3.0}}))
    drawing = Drawing(run, node, "cpu", 0, 2, None)
    scales = varied(run.config, node, OmegaConf.create({"guidance": {"scale": [0, 1, 3]}}))
    assert list(scales) == ["scale 0", "scale 1", "scale 3"]
    grid = drawing.sheet(scales, 3)()
    assert (grid.columns, grid.down) == (3, list(scales))
    rows = grid.samples.unflatten(0, (3, 3))
    assert (rows[2] - drawing.images(3)).abs().max() < 1e-5
    plain = Drawing(run, sampler_node(run.config, OmegaConf.create({"steps": 2})), "cpu", 0, 2, None)
    assert (rows[1] - plain.images(3)).abs().max() < 1e-5
    assert (rows[0] - rows[1]).abs().max() > 1e-3


def test_lists_of_a_sheet_go_side_by_side(runs):
    trained = load_run(runs["diffusion"].path).config
    node = OmegaConf.create({**trained.sampler, "guidance": {"_target_": INTERVAL}})
    ways = varied(trained, node, OmegaConf.create({"guidance": {"low": [0, 0.2], "high": [None, 2]}, "steps": [3, 4]}))
    assert list(ways) == ["low 0, high none, steps 3", "low 0.2, high 2, steps 4"]
    assert [(way.guidance.low, way.guidance.high, way.steps) for way in ways.values()] == [(0, None, 3), (0.2, 2, 4)]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("sheet.steps=5", "sheet.steps: must be a list of values, a row each, got 5"),
        ("sheet.steps=[2,2000]", "sheet, steps 2000: sampler.steps: must lie between 1 and the schedule's 1000, got"),
        ("sheet.guidance.scale=[1,2]", "sheet, scale 1: sampler.guidance.scale: .*: type sampler/guidance=classifier"),
        ("sheet.stepz=[1]", r"sheet, stepz 1: sampler.stepz: is not an argument of .*; did you mean steps\?"),
        ("sheet.steps=[1,2] sheet.eta=[0]", "sheet: lists must be equally long, .*, got 2 of steps, 1 of eta"),
    ],
)
def test_a_sheet_of_what_is_not_there_is_refused_as_it_was_typed(typed, told, runs, capsys, monkeypatch):
    arguments = ["sample", f"run={runs['diffusion'].path}", *typed.split()]
    monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
    with pytest.raises(SystemExit):
        main(arguments)
    assert re.search(told, capsys.readouterr().err)
    assert validate.main(arguments) == 1
    assert re.search(told.removeprefix("genexp sample: "), capsys.readouterr().out)


def test_style_renders_its_picture(runs, tmp_path):
    out = draw(runs["style"], tmp_path, "num=1")
    assert (out / "grid.png").is_file()
    assert not (out / "interpolation.png").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["num=0"], "num: must be a whole number of at least 1, got 0"),
        (["frames=1"], "frames: must be 0"),
        (["label=10"], r"label must lie in \[0, 10\), got 10"),
        (
            ["checkpoint=worst"],
            r"checkpoint must be (best or )?last of .*, got worst; .* holds .*last\.ckpt",
        ),
        (["weights=ema"], "weights: must be one of averaged, raw, .* got 'ema'"),
        (["++sampler.stepz=3"], "did you mean steps?"),
    ],
)
def test_bad_options_are_refused(overrides, message, runs, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        draw(runs["diffusion"], tmp_path, *overrides)


@pytest.mark.parametrize(
    ("typed", "valid"),
    [
        ("sheet.steps=[5,10] condition.label=3", True),
        ("sampler/guidance=classifier_free sampler.guidance.scale=2 sheet.guidance.scale=[0,1]", True),
        ("sampler=ddpm interpolate=4", False),
        ("condition.label=10", False),
    ],
)
def test_validate_looks_at_the_run(typed, valid, runs, capsys):
    assert validate.main(["sample", f"run={runs['diffusion'].path}", *typed.split()]) == (0 if valid else 1)


def test_a_label_needs_a_conditional_model(runs, tmp_path):
    with pytest.raises(ValueError, match=r"^condition\.label must be null for a model of no conditions, got 3"):
        draw(runs["gan"], tmp_path, "label=3")


def test_load_run_gives_a_notebook_everything(runs):
    run = genexp.load_run(runs["vae"].path)
    assert run.config.model._target_.endswith("VAE")
    assert run.metrics["images_seen"] == 64
    assert run.history[-1]["images_seen"] == 64
    assert not run.model.training
    assert run.pictures
    with pytest.raises(FileNotFoundError, match=r"no run\.json"):
        genexp.load_run(runs["vae"].path.parent)


def test_a_config_from_a_run_folder_builds_only_what_is_allowed(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs["vae"].path, copy)
    text = (copy / "config.yaml").read_text().replace("genexp.families.vae.VAE", "os.system")
    (copy / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match="must begin with one of"):
        _ = genexp.load_run(copy).model
