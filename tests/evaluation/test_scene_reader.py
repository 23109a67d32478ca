"""The reader of scenes, and the truth of captions that count shapes and say how they lie."""

import json

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.config.keys import of_the_own
from genexp.data.scene_pictures import FACTORS, draw_scenes, scenes
from genexp.data.scenes import Scenes
from genexp.data.shapes import Shapes
from genexp.evaluation.extractors.readers import reader_of
from genexp.evaluation.extractors.scene_reader import SceneReader
from genexp.evaluation.extractors.shape_reader import ShapeReader
from genexp.evaluation.metrics.caption_truth import CaptionTruth
from genexp.evaluation.summaries import CaptionedStore
from genexp.tensors import to_float

READER = SceneReader()


def all_read(image, levels):
    read = READER.read(READER(image))
    return torch.stack([read[name] == level for name, level in levels.items()]).all(0).float().mean()


@pytest.mark.parametrize("image_size", [16, 32, 33, 64])
def test_real_pictures_of_every_size_are_read_right(image_size):
    examples, rows = Scenes(image_size).split("test"), torch.arange(240)
    image, levels = to_float(examples.read(rows)["image"]), examples.levels(rows)
    assert all_read(image, levels) >= 0.99
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    assert all_read((image + 0.1 * noise).clamp(-1, 1), levels) >= 0.98
    assert all_read(gaussian_blur(image, [3, 3], [image_size / 50] * 2), levels) >= 0.98


def test_features_are_squared_differences_to_the_nearest_scene():
    every = scenes()
    rows = torch.cat([torch.arange(0, 696, 3), torch.arange(696, 21400, 101)])
    drawn = {name: every[name][rows] for name in FACTORS}
    own = SceneReader(jitter=0.0)
    two = drawn["count"] == 1
    image = to_float(draw_scenes({name: level[[5, 300, 380]] for name, level in drawn.items()}, 16)) + 0.1
    known = to_float(draw_scenes(drawn, 16))
    squared = (image[:, None] - known).square().mean((2, 3, 4))
    found = dict(zip(FACTORS, own(image).split(list(own.attributes.values()), 1), strict=True))
    for name, part in found.items():
        for level in range(part.shape[1]):  # the reader also knows the scenes between
            there = squared[:, (drawn[name] == level) & (two | (name not in ("relation", "other_shape")))]
            assert (part[:, level] <= there.amin(1) + 3e-3).all(), name
    torch.testing.assert_close(found["count"].amin(1), squared.amin(1), atol=3e-3, rtol=0)
    assert own(image).shape == (3, READER.dimensions)
    assert own.digest != READER.digest


def store(source, split="test", count=200, caption=None):
    batch = source.split(split).read(torch.arange(count))
    found = CaptionedStore(READER.dimensions)
    found.update(READER(to_float(batch["image"])), torch.arange(count))
    found.add_captions(batch["caption"] if caption is None else caption)
    return found


def test_captions_of_true_pictures_are_true_and_shuffled_ones_are_not():
    source = Scenes(32, captions=True, held_out=0.1, test_shows="both")
    metric = CaptionTruth(None, source)
    real = store(source)
    prepared = metric.prepare(real, READER)
    true = metric.compute(real, prepared)
    assert set(true) == set(metric.values) - {"caption_truth_position"}
    assert {value.value for value in true.values()} == {1.0}
    # 100 captions of the held-out half, 50 of the seen half, and in it 25 of one shape and 25 of two alike
    counted = {name.removeprefix("caption_truth_"): value.details["captions"] for name, value in true.items()}
    assert (counted["held_out"], counted["seen"], counted["relation"], counted["count"]) == (100, 50, 150, 200)

    caption = source.split("test").read(torch.arange(200))["caption"]
    moved = metric.compute(store(source, caption=caption.roll(7, 0)), prepared)
    assert moved["caption_truth"].value <= 0.02
    two = scenes()["count"][source.split("test").scene[:200]]
    assert moved["caption_truth_count"].value == pytest.approx(float((two == two.roll(7)).double().mean()))
    assert moved["caption_truth_background"].value == pytest.approx(0.2, abs=0.1)
    assert moved["caption_truth_relation"].value == pytest.approx(
        0.25, abs=0.12
    )  # beside as often as above, half turned


def test_data_are_read_by_the_reader_of_their_own():
    assert isinstance(reader_of(Shapes(16)), ShapeReader)
    assert isinstance(CaptionTruth(None, Scenes(16)).extractor, SceneReader)
    with pytest.raises(
        ValueError, match="source must be data whose pictures can be read, Shapes or Scenes, got object"
    ):
        reader_of(object())
    with pytest.raises(ValueError, match="source must say what its captions mean, as Shapes does, got object"):
        CaptionTruth(None, object())
    metric = CaptionTruth(ShapeReader(), Scenes(16, captions=True))
    with pytest.raises(
        ValueError, match=r"extractor must read count, relation, .*, background, got one of shape, colour"
    ):
        metric.prepare(store(Scenes(16, captions=True), count=2), ShapeReader())
    with pytest.raises(ValueError, match=r"jitter must lie in \[0, 0.08\]"):
        SceneReader(0.1)
    with pytest.raises(ValueError, match=r"extractor scene_reader takes square pictures, got \(1, 3, 16, 8\)"):
        READER(torch.zeros(1, 3, 16, 8))


SMALL = ["data.image_size=16", "data.source.train_images=960", "data.batch_size=32", "training.max_images=64",
         "training.evaluate_every=64", "callbacks.evaluate.num=40", "callbacks.evaluate.batch_size=40",
         "sampler.steps=2", "metrics=caption_truth", "callbacks.sample_grid.num=4", "threads=1", "trainer=cpu",
         "data.source.test_images=240", "data.source.val_images=240", "model.network.width=32", "logger=none",
         "data.source.held_out=0.1", "data.source.test_shows=both", "callbacks.evaluate.told=test"]  # fmt: skip


def test_the_recipe_is_trained_and_measured_on_seen_and_held_out_captions(tmp_path):
    run = tiny.run(["experiment=captions/scenes", *SMALL, f"paths.outputs={tmp_path}"])
    typed = [f"run={run.path}", "metrics=caption_truth", "told=test", f"out={tmp_path / 'out'}", "pictures=0", "grid=0"]
    evaluate(compose("evaluate", of_the_own(typed)))
    found = json.loads(next((tmp_path / "out").glob("*/metrics.json")).read_text())["values"]
    assert {key.split("/")[0] for key in found} == set(CaptionTruth.values) - {"caption_truth_position"}
    assert all(key.split("/")[1].startswith("scene_reader@") for key in found)
    counted = {key.split("/")[0].removeprefix("caption_truth_"): value["details"]["captions"]
               for key, value in found.items()}  # fmt: skip
    assert counted["caption_truth"] == counted["count"] == 40
    assert counted["seen"] + counted["held_out"] == counted["relation"] < 40  # of one shape and of two alike neither
    assert counted["held_out"] == 20
    assert all(value["floor"] == 1 for value in found.values())
    for caption in ("a small red circle on blue", "a red circle left of a blue square on white"):
        out = tmp_path / caption.replace(" ", "_")
        sample(compose("sample", of_the_own([f"run={run.path}", f"caption={caption}", "num=2", f"out={out}"])))
        assert json.loads((out / "sample.json").read_text())["condition"] == {"caption": caption}
    with pytest.raises(ValueError, match="caption must give shapes another colour than the ground, got 'a blue circle"):
        sample(compose("sample", of_the_own([f"run={run.path}", "caption=a blue circle on blue"])))
