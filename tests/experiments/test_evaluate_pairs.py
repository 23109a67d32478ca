"""`genexp evaluate` of models that map images: their own distances over held-out pairs, with protocols."""

import json

import pytest
from PIL import Image

import tiny
from genexp.commands.evaluate import evaluate
from genexp.config.compose import compose
from genexp.evaluation.images import sampled_rows
from genexp.evaluation.protocol import Protocol
from genexp.runs.evaluations import read_evaluations

NAMES = {"content_distance", "style_distance"}
ADAIN = [
    "model=adain",
    "trainer=cpu",
    "trainer.precision=32-true",
    "logger=none",
    "threads=1",
    "data.image_size=16",
    "data.source.resize=32",
    "data.source.eval_crop=random",
    "data.source.eval_pairs=5",
    "training.max_images=16",
    "training.evaluate_every=16",
    "training.checkpoint_every=16",
]


@pytest.fixture(scope="module")
def stylizer(tmp_path_factory):
    return tiny.run([*ADAIN, f"paths.outputs={tmp_path_factory.mktemp('runs')}"])


def measured(folder, out, *overrides):
    given = [f"run={folder.path}", f"out={out}", "metrics=none", "wandb=false", "grid=3", *overrides]
    evaluate(compose("evaluate", given))
    values = json.loads((out / "averaged" / "metrics.json").read_text())["values"]
    return {key.split("/")[0]: value for key, value in values.items()}


def test_the_values_of_the_val_split_are_those_of_the_run(stylizer, tmp_path):
    values = measured(stylizer, tmp_path, "reference=val", "checkpoint=last")
    own = stylizer.metrics["values"]
    assert {name: value["value"] for name, value in values.items()} == pytest.approx(
        {name: own[f"val/{name}"] for name in NAMES}, rel=0.02
    )  # here after rounding to 8 bits


def test_strengths_share_one_trained_model(stylizer, tmp_path, capsys):
    found = {a: measured(stylizer, tmp_path / a, f"++sampler.alpha={a}") for a in ("0", "1")}
    assert found["0"]["content_distance"]["value"] != found["1"]["content_distance"]["value"]
    protocol = Protocol.read(found["1"]["style_distance"]["protocol"])
    assert (protocol.metric, protocol.reference, protocol.n_generated) == ("style_distance", "test", 5)
    assert protocol.sampler == "Mapping(alpha=1)"
    assert "relu2_1" in protocol.settings
    assert found["1"]["style_distance"]["low"] < found["1"]["style_distance"]["value"]
    assert found["1"]["style_distance"]["better"] == "lower"
    with Image.open(tmp_path / "1" / "averaged" / "samples.png") as picture:
        margin = picture.width - (3 * 66 + 2), picture.height - (3 * 66 + 2)  # the three parts in rows, with words
        assert 40 < margin[0] < 80
        assert 12 < margin[1] < 30
    assert "5 images against 5 of test" in capsys.readouterr().out
    kept = [row for row in read_evaluations(stylizer) if row["protocol"]["reference"] == "test"]
    assert len(kept) == 4


def test_every_strength_and_split_has_a_folder_of_its_own(stylizer):
    for further in ([], ["++sampler.alpha=0.5"], ["reference=val"], ["num=3"]):
        evaluate(compose("evaluate", [f"run={stylizer.path}", "metrics=none", "wandb=false", "grid=0", *further]))
    found = {path.parent.name for path in (stylizer.path / "evaluations").glob("*/metrics.json")}
    assert found == {
        f"{each}_averaged" for each in ("test_mapping", "test_mapping_alpha0.5", "val_mapping", "test_3_mapping")
    }


def test_a_number_of_pairs_is_drawn_from_all_of_them(stylizer, tmp_path):
    values = measured(stylizer, tmp_path, "num=3")
    protocol = Protocol.read(values["style_distance"]["protocol"])
    assert (protocol.reference, protocol.n_reference) == ("test, 3 of 5 drawn at random, seed 0", 3)
    every = measured(stylizer, tmp_path / "all")["style_distance"]["draws"]
    drawn = sampled_rows(5, 3, None, seed=0).tolist()
    assert drawn != [0, 1, 2]
    assert values["style_distance"]["draws"] == pytest.approx([every[row] for row in drawn], rel=1e-5)
    with pytest.raises(ValueError, match="num must be at most the 5 pairs of test, got 6"):
        measured(stylizer, tmp_path / "more", "num=6")


def test_an_optimised_picture_is_measured_too(tmp_path):
    overrides = [*tiny.overrides_for("style"), "training.max_images=4", f"paths.outputs={tmp_path / 'runs'}"]
    folder = tiny.run(overrides)
    values = measured(folder, tmp_path / "out", "checkpoint=last")
    own = folder.metrics["values"]
    assert {name: value["value"] for name, value in values.items()} == pytest.approx(
        {name: own[f"val/{name}"] for name in NAMES}, rel=0.02
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["metrics=kid"], "metrics must be none for a model that maps images, .* got kid"),
        (["metrics=none", "reference=digits"], "reference must be train, val, test or null, .* got digits"),
        (["metrics=none", "floor=train"], "floor must be auto .* got train"),
        (["metrics=none", "extractor=cifar_vgg"], "extractor must be null .* got genexp"),
    ],
)
def test_options_of_drawn_images_are_refused(stylizer, overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        evaluate(compose("evaluate", [f"run={stylizer.path}", f"out={tmp_path}", *overrides]))
