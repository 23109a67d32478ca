"""Runs that follow each other: what each is told, that samples depend on seed and index alone, what is refused."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

import genexp
import tiny
from genexp.__main__ import main
from genexp.commands.beforehand import refused_beforehand
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.data.own_pictures import own_pictures
from genexp.inference.cascade import Cascade, drawings, stages_of
from genexp.inference.marked_pixels import FALSE_POSITIVES, find
from genexp.tensors import IndexedNoise, mix_seed, to_float, to_uint8

STORED = Path(__file__).parents[1] / "earlier_runs"
CAPTION = "a large red circle in the centre on a white background"
SMALL = ["data.batch_size=16", "data.limit=32", "training.max_images=32", "training.evaluate_every=32"]
SMALL += [
    "callbacks.evaluate=null",  # and so there is nothing that best.ckpt could follow
    "callbacks.sample_grid=null",
    "model.network.width=8",
    "sampler.steps=2",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A base of 8 pixels, and two runs that make pictures twice as large, each told a caption too."""
    found = []
    for size, recipe in ((8, "base_shapes"), (16, "super_resolution_shapes"), (32, "super_resolution_shapes")):
        place = f"paths.outputs={tmp_path_factory.mktemp(f'of{size}')}"
        found.append(tiny.run([f"experiment=imagen/{recipe}", f"data.image_size={size}", *_common(), *SMALL, place]))
    return [genexp.load_run(each.path) for each in found]


def _common():
    return [each for each in tiny.COMMON if not each.startswith("callbacks.")]


def drawn(runs, num, batch_size, typed=None, seed=3):
    return drawings(stages_of(runs, None, typed or {}, seed, "sample"), "cpu", batch_size)[-1].images(num)


def test_three_stages_depend_on_seed_and_index_alone_and_the_first_draws_what_it_draws_alone(runs):
    whole = drawn(runs, 5, 5)
    assert whole.shape == (5, 3, 32, 32)
    torch.testing.assert_close(drawn(runs, 5, 2), whole, atol=1e-4, rtol=0)
    torch.testing.assert_close(drawn(runs, 3, 8), whole[:3], atol=1e-4, rtol=0)
    assert not torch.allclose(drawn(runs, 2, 5, seed=4), whole[:2], atol=0.05)
    stages = drawings(stages_of(runs, None, {}, 3, "sample"), "cpu", 5)
    torch.testing.assert_close(stages[0].images(5), runs[0].samples(5, seed=3))
    assert len({each.seed for each in stages}) == 3


def test_a_stage_is_told_the_picture_before_at_256_levels_with_noise_of_the_level_and_the_same_caption(runs):
    first, second = drawings(stages_of(runs[:2], None, {}, 3, "sample"), "cpu", 4)
    told = second.conditions.of(range(4))
    before = to_float(to_uint8(first.images(4)))
    noise = IndexedNoise(mix_seed(mix_seed(3, 1), 43), range(4)).normal(3, 8, 8)
    torch.testing.assert_close(told["low_res"][:, :3], before + 0.1 * noise, atol=1e-5, rtol=0)
    assert torch.equal(told["low_res"][:, 3], torch.full((4, 8, 8), 0.1))
    assert torch.equal(told["caption"], first.conditions.of(range(4))["caption"])
    typed = {"caption": CAPTION, "low_res_level": 0}
    first, second = drawings(stages_of(runs[:2], None, typed, 3, "sample"), "cpu", 4)
    told = second.conditions.of(range(4))
    torch.testing.assert_close(told["low_res"][:, :3], to_float(to_uint8(first.images(4))))
    assert not told["low_res"][:, 3].any()
    captions = torch.cat([told["caption"], first.conditions.of(range(4))["caption"]])
    assert torch.equal(captions, runs[0].model.conditioning.kinds["caption"].read(CAPTION).expand(8, -1))


def test_commands_draw_and_measure_a_cascade(runs, tmp_path, monkeypatch):
    names = ",".join(str(run.folder.path) for run in runs[:2])
    monkeypatch.setattr(sys, "argv", ["genexp"])
    given = [f"run=[{names}]", "num=4", "threads=1", "rows=2", "interpolate=2", "frames=2", f"out={tmp_path}/drawn"]
    main(["sample", *given, f'condition.caption="{CAPTION}"', "condition.low_res_level=0.2"])
    record = json.loads((tmp_path / "drawn" / "sample.json").read_text())
    assert [each["told"] for each in record["stages"]] == [None, "low_res"]
    assert record["condition"] == {"caption": CAPTION, "low_res_level": 0.2}
    files = {each.name for each in (tmp_path / "drawn").iterdir()}
    assert files == {
        "grid.png",
        "stages.png",
        "pairs.png",
        "interpolation.png",
        "denoising.png",
        "images",
        "sample.json",
    }
    options = ["metrics=vendi", "floor=null", "pictures=0", "wandb=false", "cache=null", "num=6", "threads=1"]
    first, second = names.split(",")
    evaluate(compose("evaluate", [f"run={second}", f"after={first}", *options, f"out={tmp_path}/measured"]))
    (written,) = (tmp_path / "measured").glob("*/metrics.json")
    values = json.loads(written.read_text())["values"].values()
    assert "Cascade(" in (runs[1].folder.path / "evaluations.jsonl").read_text()  # the last run has the values
    (sampler,) = {each["protocol"]["sampler"] for each in values}
    assert sampler.startswith(f"Cascade({runs[0].folder.record['id']}@{runs[0].digest[:12]} by DDIM(clip=Dynamic(")
    assert sampler.endswith(", told at level 0.1)")
    measured = Cascade(stages_of(runs[:2], None, {}, 0, "evaluate"), 6, 4, torch.device("cpu"))
    images = torch.cat([each["image"] for each in measured.batches()])
    torch.testing.assert_close(images, to_float(to_uint8(drawn(runs[:2], 6, 3, seed=0))), atol=0.02, rtol=0)


def test_runs_that_do_not_follow_each_other_are_refused(runs):
    base, second, _ = (str(run.folder.path) for run in runs)
    for typed, told in {
        f"run=[{second},{base}]": r"is told what the one before draws, got caption in .* after \(3, 16, 16\)",
        f"run=[{base},{STORED / 'toy'}]": r"got no conditions in .*; shares=\[1,1\] draws from one",
        f"run=[{base},{second}] +condition.low_res=x": "condition.low_res must be null where a run before draws it",
        f"run=[{base},{second}] +condition.word=x": (
            r"condition\.word must be one of condition\.caption, condition\.low_res_level, got x$"
        ),
        f"run=[{base},{second}] +condition.captoin=x": r"got x; did you mean condition\.caption\?$",
        f"run={second} +condition.low_res_levl=0.1": (
            r"condition\.low_res_levl must be one of condition\.caption, condition\.low_res, condition\.low_res_level, "
            r"got 0\.1; did you mean condition\.low_res_level\?$"
        ),
        f"run=[{base},{second}] +condition.low_res_level=0.7": r"condition.low_res_level must lie in \[0, 0.5\], the",
        f"run=[{base},{second}] after={base}": "after must be null but with one run, which it is before, got",
        f"run={second} after={base} switch_at=0.5": "after must be null with shares, switch_at or several choices of w",
        f"run=[{base},{second}] edit=noised images=x": "edit, images and mask must be null with several runs",
    }.items():
        with pytest.raises(ValueError, match=told):
            sample(compose("sample", [*typed.split(), "threads=1"]))
        (line,) = refused_beforehand("sample", compose("sample", typed.split()))  # and by validate, without weights
        assert re.search(told, line)
    told = r"run must name runs of samples of one shape, .*, got \(3, 16, 16\) of .* and \(3, 8, 8\) of"
    typed = [f"run=[{second},{base}]", "threads=1", "num=2"]
    with pytest.raises(ValueError, match=told):
        evaluate(compose("evaluate", typed))
    assert re.search(told, refused_beforehand("evaluate", compose("evaluate", typed))[0])
    for name in ("sample", "evaluate"):
        for typed in (f"run=[{base},{second}]", f"run={second} after={base}"):
            assert refused_beforehand(name, compose(name, [*typed.split(), "threads=1"])) == []


def test_the_last_of_several_runs_gets_the_mark(runs, tmp_path):
    given = [f"run=[{','.join(str(run.folder.path) for run in runs)}]", "num=2", "threads=1", f"out={tmp_path}/marked"]
    sample(compose("sample", [*given, "watermark=k", "watermark_strength=16"]))
    made = own_pictures(str(tmp_path / "marked/images"), 32, 3).images
    assert all(find(to_uint8(each), "k").p_value < FALSE_POSITIVES for each in made)
    assert json.loads((tmp_path / "marked/sample.json").read_text())["watermark_in"] == "pixels"
    for typed, told in (
        ([*given, "watermark=k", "watermark_in=noise"], "watermark_in must be pixels with several runs"),
        (
            [f"run=[{runs[0].folder.path},{runs[1].folder.path}]", "watermark=k"],
            "at least 32 pixels a side, got 16 x 16",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            sample(compose("sample", typed))


def test_a_level_is_typed_for_one_run_too(runs):
    _, second, _ = runs
    picture = torch.zeros(2, 3, 8, 8)
    same = second.samples(2, seed=1, low_res=picture, low_res_level=0.1, caption=CAPTION)
    assert torch.equal(second.samples(2, seed=1, low_res=picture, caption=CAPTION), same)  # the recipe's own level
    assert not torch.allclose(second.samples(2, seed=1, low_res=picture, low_res_level=0, caption=CAPTION), same)
