"""The reader of attributes, and the share of captions that are true."""

import json
import re

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

import tiny
from genexp.commands.evaluate import evaluate
from genexp.config.compose import compose
from genexp.config.keys import of_the_own
from genexp.data.shape_pictures import FACTORS, MODES, draw_shapes, factor_levels
from genexp.data.shapes import ShapeCaptions, Shapes
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.shape_reader import ShapeReader
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.metrics.caption_truth import CaptionTruth
from genexp.evaluation.summaries import CaptionedStore
from genexp.tensors import to_float

READER = ShapeReader()


def all_read(image, mode):
    read = READER.read(READER(image))
    return torch.stack([read[name] == level for name, level in factor_levels(mode).items()]).all(0).float().mean()


@pytest.mark.parametrize(("image_size", "count"), [(16, 480), (24, 240), (32, 240), (64, 120)])
def test_real_pictures_of_every_size_are_read_right(image_size, count):
    examples = Shapes(image_size).split("test")
    rows = torch.arange(count)
    image = to_float(examples.read(rows)["image"])
    assert all_read(image, examples.mode[rows]) >= 0.995
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    assert all_read((image + 0.1 * noise).clamp(-1, 1), examples.mode[rows]) >= 0.985
    blurred = gaussian_blur(image, [3, 3], [image_size / 50] * 2)
    assert all_read(blurred, examples.mode[rows]) >= 0.985


def test_features_are_squared_differences_to_the_nearest_picture():
    image = to_float(draw_shapes(torch.tensor([37, 400]), 8)) + 0.1
    own = ShapeReader(jitter=0.0)
    every = to_float(draw_shapes(torch.arange(MODES), 8))  # of 256 levels, where the reader draws exactly
    squared = (image[:, None] - every).square().mean((2, 3, 4))
    levels = factor_levels(torch.arange(MODES))
    expected = [squared[:, levels[name] == k].amin(1) for name in FACTORS for k in range(len(FACTORS[name]))]
    torch.testing.assert_close(own(image), torch.stack(expected, 1), atol=3e-3, rtol=0)
    assert own(image).shape == (2, 21)
    assert own.digest != READER.digest


def store(source, split="test", rows=None, pictures=None):
    examples = source.split(split)
    rows = torch.arange(200) if rows is None else rows
    batch = examples.read(rows)
    found = CaptionedStore(READER.dimensions)
    found.update(READER(to_float(batch["image"] if pictures is None else pictures)), torch.arange(len(rows)))
    found.add_captions(batch["caption"])
    return found


def test_the_truth_of_captions_in_parts_and_as_a_whole():
    source = Shapes(16, captions=True)
    metric = CaptionTruth(READER, source)
    prepared = metric.prepare(store(source), READER)
    rows = torch.arange(200)
    mode = source.split("test").mode[:200]
    wrong = torch.where(rows < 50, (mode + 1) % MODES, mode)  # another background, and now and then more
    values = metric.compute(store(source, pictures=draw_shapes(wrong, 16)), prepared)
    assert values["caption_truth"].value == pytest.approx(0.75)
    assert values["caption_truth_background"].value == pytest.approx(0.75)
    same = (factor_levels(wrong)["colour"] == factor_levels(mode)["colour"]).double().mean()
    assert values["caption_truth_colour"].value == pytest.approx(float(same))
    assert values["caption_truth"].details == {"captions": 200.0, "real": 1.0}
    assert len(values["caption_truth"].draws) == 20
    assert "caption_truth_seen" not in values


def test_held_out_captions_are_counted_apart():
    source = Shapes(16, captions=True, held_out=0.2, test_shows="both")
    metric = CaptionTruth(READER, source)
    prepared = metric.prepare(store(source, "train"), READER)
    rows = torch.arange(200)
    right = source.split("test").mode[:200]
    shown = torch.where((rows % 2 == 1) & (rows < 100), (right + 1) % MODES, right)
    values = metric.compute(store(source, pictures=draw_shapes(shown, 16)), prepared)
    assert values["caption_truth_seen"].value == 1
    assert values["caption_truth_held_out"].value == pytest.approx(0.5)
    assert values["caption_truth_held_out"].details == {"captions": 100.0}  # training shows none of them


def test_what_captions_leave_out_is_not_counted_against_them():
    source = Shapes(16, captions=True)
    said = ["a red circle", "a circle", "a small red square", "", "a cross on white"]
    mode, kind = torch.tensor([0, 100, 0, 5, 959]), ShapeCaptions()
    found = CaptionedStore(21)
    found.update(READER(to_float(draw_shapes(mode, 16))), torch.arange(5))
    found.add_captions(torch.cat([kind.read(text) if text else kind.nothing(1, "cpu") for text in said]))
    metric = CaptionTruth(READER, source)
    values = metric.compute(found, metric.prepare(found, READER))
    shapes = factor_levels(mode)["shape"].tolist()
    assert shapes == [0, 0, 0, 0, 3]
    assert values["caption_truth"].value == pytest.approx(2 / 4)  # the empty one says nothing; the last is on brown
    assert values["caption_truth_shape"].value == pytest.approx(3 / 4)
    assert values["caption_truth_colour"].details["captions"] == 2
    assert values["caption_truth_background"].value == 0


def test_captions_stay_with_their_images_in_any_order_and_from_many_processes():
    source = Shapes(16, captions=True)
    rows = torch.tensor([5, 2, 9, 0, 7])
    batch = source.split("test").read(rows)
    whole, first, second = (CaptionedStore(21) for _ in range(3))
    features = READER(to_float(batch["image"]))
    for found, some in ((whole, slice(None)), (first, slice(0, 2)), (second, slice(2, 5))):
        found.update(features[some], rows[some])
        found.add_captions(batch["caption"][some])
    first.merge(CaptionedStore.from_state(second.state()))
    for name, column in whole.state().items():
        assert torch.equal(column, first.state()[name]), name
    assert torch.equal(whole.caption, batch["caption"][rows.argsort()])


def test_bad_input_is_said():
    with pytest.raises(ValueError, match="extractor must read attributes, as shape_reader does, got pixels"):
        CaptionTruth(Pixels(3), Shapes(16))
    with pytest.raises(ValueError, match="source must say what its captions mean, as Shapes does, got object"):
        CaptionTruth(READER, object())
    with pytest.raises(ValueError, match=r"jitter must lie in \[0, 0.08\]"):
        ShapeReader(0.1)
    with pytest.raises(ValueError, match=r"extractor shape_reader takes square pictures, got \(1, 3, 16, 8\)"):
        READER(torch.zeros(1, 3, 16, 8))
    evaluator = Evaluator(READER, {"caption_truth": CaptionTruth(READER, Shapes(16))})
    with pytest.raises(ValueError, match="samples must have captions to be held against, got none"):
        evaluator.summarise([{"image": torch.zeros(2, 3, 16, 16)}])


SMALL = ["data.image_size=8", "data.source.train_images=960", "data.batch_size=32", "training.max_images=64",
         "training.evaluate_every=64", "callbacks.evaluate.num=40", "callbacks.evaluate.batch_size=40",
         "sampler.steps=2", "metrics=caption_truth", "callbacks.sample_grid.num=4", "threads=1", "trainer=cpu",
         "data.source.test_images=960", "model.network.width=8", "data.source.held_out=0.1",
         "data.source.test_shows=both", "callbacks.evaluate.told=test", "logger=none"]  # fmt: skip


def test_training_and_evaluate_say_the_same_of_seen_and_held_out_captions(tmp_path):
    run = tiny.run(["experiment=captions/shapes", *SMALL, f"paths.outputs={tmp_path}"])
    typed = [f"run={run.path}", "metrics=caption_truth", "told=test", f"out={tmp_path / 'out'}", "pictures=0", "grid=0"]
    evaluate(compose("evaluate", of_the_own(typed)))
    found = json.loads(next((tmp_path / "out").glob("*/metrics.json")).read_text())["values"]
    trained = [json.loads(line) for line in (run.path / "evaluations.jsonl").read_text().splitlines()]
    names = {key.split("/")[0] for key in found}
    assert names == set(CaptionTruth.values) - {"caption_truth_count", "caption_truth_relation"}  # those of scenes
    for key, value in found.items():
        assert re.fullmatch(r"caption_truth\w*/shape_reader@[0-9a-f]{8}", key)
        assert value["protocol"]["sampler"].endswith(", told as test")
        assert value["floor"] > 0.9 or "shape" in key or key.startswith("caption_truth/")
    counted = {key.split("/")[0]: value["details"]["captions"] for key, value in found.items()}
    assert counted["caption_truth"] == counted["caption_truth_seen"] + counted["caption_truth_held_out"] == 40
    assert any("caption_truth" in json.dumps(line) for line in trained)


def test_a_model_without_captions_is_refused_before_training(tmp_path):
    typed = ["data=shapes", "data.source.captions=true", *SMALL[:-4], "model.network.width=8", "logger=none"]
    with pytest.raises(ValueError, match="metrics must be without caption_truth for a model that is told no caption"):
        tiny.run([*typed, f"paths.outputs={tmp_path}"])
