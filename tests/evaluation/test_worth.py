"""Values come with a word on what they are worth."""

import pytest
import torch

import tiny
from genexp.config.compose import compose
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.worth import FEATURES, too_short, worth


@pytest.mark.parametrize(
    ("batches", "seen", "images", "short"),
    [(999, 10**6, 1000, True), (1000, 10**6, 1000, False), (5000, 640_000, 640_001, True), (1000, 999, 999, False)],
)
def test_a_run_is_too_short_below_a_thousand_batches_or_one_pass(batches, seen, images, short):
    said = too_short(batches, seen, images)
    assert (said is not None) == short
    assert not short or f"{batches:,} batches" in said


def test_untrained_features_and_those_of_other_pictures_have_a_word():
    protocols = [{"extractor": name} for name in ("digits_classifier", "random", "random", "cifar_vgg")]
    assert worth(protocols) == [(f"{name} features", FEATURES[name]) for name in ("random", "cifar_vgg")]
    assert worth([{}]) == []


def test_a_folder_of_ones_own_is_compared_in_trained_features():
    assert compose("train", ["data=folder"]).extractor.asset == "cifar_vgg"
    assert "RandomFeatures" in compose("train", ["data=folder", "extractor=random"]).extractor["_target_"]


def test_trained_features_see_grey_pictures_as_colour_pictures_without_colour():
    extractor, grey = ClassifierFeatures("cifar_vgg"), torch.rand(2, 1, 40, 40) * 2 - 1
    assert extractor(grey).equal(extractor(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match=r"takes images \(B, 3, H, W\), got \(2, 2, 40, 40\)"):
        extractor(torch.zeros(2, 2, 40, 40))
    with pytest.raises(ValueError, match=r"takes images \(B, 1, H, W\), got \(2, 3, 8, 8\)"):
        ClassifierFeatures("digits_classifier")(torch.zeros(2, 3, 8, 8))


def test_a_closing_table_says_what_its_values_are_worth(tmp_path, capsys):
    tiny.run([*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "extractor=random", "training.max_images=64"])
    shown = capsys.readouterr().out
    assert "random features" in shown
    assert "extractor=cifar_vgg is trained on photographs" in shown
    assert "too short" in shown
    assert "2 batches, " in shown
