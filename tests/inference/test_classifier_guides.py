"""A classifier of noisy images as a part: trained, found again by its run, and refused where it does not fit."""

import json
import sys

import pytest
import torch

import genexp
import tiny
from genexp.__main__ import main
from genexp.config.check import problems_of
from genexp.diffusion.noising import Noising
from genexp.diffusion.schedules import Cosine
from genexp.inference.trained import TrainedClassifier
from genexp.networks.unet_classifier import UNetClassifier

pytestmark = pytest.mark.slow  # two short trainings

LENGTH = ["trainer=cpu", "logger=none", "threads=1", "data.batch_size=32", "trainer.limit_val_batches=1"]
LENGTH += ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A classifier, and a diffusion without classes that draws under its guidance in training."""
    folder = tmp_path_factory.mktemp("guided")
    classifier = tiny.run(["experiment=classifier_guidance/digits", *LENGTH, f"paths.outputs={folder / 'c'}"])
    guided = ["sampler=ddim", "sampler.steps=3", "sampler/guidance=classifier"]
    guided += [f"sampler.guidance.classifier.run={classifier.path}", "sampler.guidance.scale=3"]
    short = ["training.max_images=64", "training.evaluate_every=64", f"paths.outputs={folder / 'd'}"]
    return classifier, tiny.run([*tiny.overrides_for("diffusion"), *short, *guided])


def test_a_run_draws_the_classes_of_its_classifier(runs, tmp_path, monkeypatch, capsys):
    classifier, run = runs
    part = TrainedClassifier(str(classifier.path))
    key = "sampler.guidance.classifier"
    assert run.record["parts"][key] == {"run": str(classifier.path), "digest": part.digest}
    images = genexp.load_run(run.path)
    assert not torch.equal(images.samples(2, label=3), images.samples(2, label=4))
    with pytest.raises(ValueError, match=r"label must lie in \[0, 10\), got 10"):
        images.samples(1, label=10)
    monkeypatch.setattr(sys, "argv", ["genexp"])
    drawn = {}
    for name, words in {"none": ["sampler/guidance=none"], "zero": ["sampler.guidance.scale=0", "label=3"]}.items():
        main(["sample", f"run={run.path}", "num=2", "interpolate=0", "frames=0", f"out={tmp_path / name}", *words])
        drawn[name] = (tmp_path / name / "images" / "000001.png").read_bytes()
    assert drawn["none"] == drawn["zero"]
    assert json.loads((tmp_path / "zero" / "sample.json").read_text())["condition"] == {"label": 3}
    main(
        ["evaluate", f"run={run.path}", "num=20", "metrics=fd", "pictures=0", "grid=0", f"out={tmp_path / 'measured'}"]
    )
    assert "fd/" in capsys.readouterr().out


def test_it_is_the_network_on_noisy_images_of_about_unit_size(runs):
    classifier, _ = runs
    part, family = TrainedClassifier(str(classifier.path)), genexp.load_run(classifier.path).model
    assert (part.image_shape, part.num_classes, part.schedule.last) == ((1, 8, 8), 10, 1000)
    x_t, t = torch.randn(3, 1, 8, 8), torch.tensor([1, 500, 1000])
    torch.testing.assert_close(part.logits(x_t, t), family.network(x_t, t - 1))


def test_noise_is_drawn_for_every_image_and_stays_with_it():
    noising, image = Noising(Cosine()), torch.rand(2000, 1, 1, 2) * 2 - 1
    torch.manual_seed(0)
    drawn = noising.draw(image)
    assert float(drawn["time"].float().mean()) == pytest.approx(500, abs=30)
    alpha, sigma = (level.view(-1, 1, 1, 1) for level in noising.schedule(drawn["time"]))
    noisy = noising(image, drawn["time"], drawn["noise"])
    torch.testing.assert_close(noisy, alpha * image + sigma * drawn["noise"])


def test_a_network_of_images_alone_is_refused_and_one_of_times_without_noise(runs):
    classifier, _ = runs
    plain = ["model=classifier", "model/noising=diffused"]
    (line,) = problems_of("train", plain)
    assert line.startswith("model.network: must be of images and times (unet_classifier) with noising, got ConvClassif")
    (line,) = problems_of("train", ["model=classifier", "model/network=unet_classifier"])
    assert line.startswith("model.network: must be of images alone without noising, got UNetClassifier")
    guided = ["sampler=ddim", "sampler/guidance=classifier", f"sampler.guidance.classifier.run={classifier.path}"]
    found = problems_of("train", ["model=diffusion", "model/schedule=linear", "data=digits", *guided])
    assert "must have the noise levels of the model's schedule, got others" in found[0]
    with pytest.raises(ValueError, match="image_size must be divisible by 4 for 3 levels, got 6"):
        UNetClassifier(1, 6, 10, multipliers=(1, 2, 2))
