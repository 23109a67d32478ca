"""What finished runs see in pictures, as features that others are compared in."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import genexp
import tiny
from genexp.commands.evaluate import evaluate
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.inference.trained_features import TrainedClassifierFeatures, TrainedFeatures

STORED = Path(__file__).parents[1] / "earlier_runs"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A short training of a classifier of digits."""
    typed = ["model=classifier", "trainer=cpu", "logger=none", "threads=1", *tiny.LENGTH]
    return tiny.run([*typed, f"paths.outputs={tmp_path_factory.mktemp('classifier')}"]).path


def test_they_are_the_layer_before_the_classes_and_say_whose(classifier):
    features, run = TrainedClassifierFeatures(str(classifier)), genexp.load_run(classifier)
    image = torch.rand(70, 1, 8, 8) * 2 - 1
    network = run.model.network.eval()
    torch.testing.assert_close(features(image), network.features(image).detach())
    torch.testing.assert_close(features.logits(features(image)), network(image).detach())
    assert features(torch.zeros(2, 1, 16, 16)).shape == (2, features.dimensions)
    assert features.digest == run.digest[:12]
    assert not features(image).requires_grad


def test_a_run_is_measured_in_them(classifier, tmp_path):
    shutil.copytree(STORED / "gan", tmp_path / "gan")
    options = ["metrics=fd", "floor=null", "pictures=0", "grid=0", "wandb=false", "cache=null", "threads=1"]
    given = [f"run={tmp_path / 'gan'}", "extractor=trained_classifier", f"extractor.run={classifier}", "num=40"]
    evaluate(compose("evaluate", [*given, *options, f"out={tmp_path}/out"]))
    (written,) = (tmp_path / "out").rglob("metrics.json")
    (key,) = json.loads(written.read_text())["values"]
    assert key == f"fd/trained_classifier@{genexp.load_run(classifier).digest[:8]}"


def test_a_run_without_such_features_is_refused():
    with pytest.raises(ValueError, match=r"run must be of a classifier of images with features, got .* of VAE"):
        TrainedClassifierFeatures(str(STORED / "vae"))
    (line,) = problems_of("train", ["extractor=trained_classifier"], True)
    assert line.startswith("extractor.run"), line


def test_an_autoencoder_is_an_encoder_of_data():
    place = "data.source.encoder"
    named = [f"{place}._target_=genexp.inference.trained_features.TrainedFeatures", f"~{place}.asset"]
    typed = ["experiment=unclip/prior_shapes", *named, f"+{place}.run={STORED / 'vae'}"]
    assert [each for each in problems_of("train", typed) if each.startswith(place)] == []
    assert TrainedFeatures(str(STORED / "vae"))(torch.zeros(2, 1, 8, 8)).shape[0] == 2
