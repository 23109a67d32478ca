"""A GAN of super-resolution begins with the network of the least error, and is drawn from."""

import sys

import pytest
import torch
from hydra.errors import InstantiationException

import genexp
import tiny
from genexp.__main__ import main
from genexp.conditioning.pictures import Picture
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.published import PublishedWeights
from genexp.inference.run import load_run
from genexp.networks.rrdb import Rrdb
from genexp.runs.evaluations import read_evaluations
from genexp.runs.run_folder import RunFolder

SMALL = ["model.generator.depth=1", "model.generator.width=4", "model.generator.growth=2", "data.image_size=16"]
SMALL += ["data.batch_size=4", "data.source.eval_patches=4", "callbacks.sample_grid=null", "callbacks.evaluate.num=4"]
SMALL += ["training.max_images=8", "training.evaluate_every=8", "threads=1"]
CRITIC = ["model.critic.discriminator.width=4", "model.critic.discriminator.hidden=4"]


def test_esrgan_begins_with_its_network_of_the_least_error(tmp_path, monkeypatch, capsys):
    least = tiny.run(["experiment=rrdb/photographs", *SMALL, f"paths.outputs={tmp_path}/least"])
    begun = ["initial=run", f"initial.run={least.path}", "initial.only=[generator]", f"paths.outputs={tmp_path}/gan"]
    rate = ["model.generator_optimizer.lr=1e-9"]
    gan = tiny.run(["experiment=esrgan/photographs", *SMALL, *CRITIC, *begun, *rate])
    before, after = (load_run(each.path).model.state_dict() for each in (least, gan))
    generator = [name for name in before if name.startswith("generator.")]
    assert max((after[name] - before[name]).abs().max() for name in generator) < 1e-6
    assert any(name.startswith("critic.") for name in after)
    assert not any("features" in name for name in after)  # the perceptual network is in no checkpoint
    drawn = genexp.load_run(gan.path).samples(2)
    assert drawn.shape == (2, 3, 16, 16)
    assert drawn.abs().max() <= 1
    mixed = ["sampler=interpolated", f"sampler.other.run={least.path}", "sampler.share=0.3"]
    typed = [
        "genexp",
        "evaluate",
        f"run={gan.path}",
        "metrics=spectrum",
        "num=4",
        "pictures=0",
        "reference=val",
        *mixed,
    ]
    monkeypatch.setattr(sys, "argv", typed)
    main()
    protocols = [each["protocol"] for each in read_evaluations(RunFolder(gan.path))]
    assert any("LatentByInterpolation(other=TrainedOther(" in each["sampler"] for each in protocols)
    monkeypatch.setattr(sys, "argv", [*typed[:3], "metrics=reconstruction", *typed[4:]])
    with pytest.raises(SystemExit):
        main()
    assert "metrics must not compare image i with image i where a run draws" in capsys.readouterr().err


def test_for_its_first_images_a_generator_learns_by_pixels_alone(tmp_path):
    common = ["experiment=esrgan/photographs", *SMALL, *CRITIC, "logger=none"]
    first = tiny.run([*common, "model.reconstruction_first=4", f"paths.outputs={tmp_path}/first"])
    state = tiny.checkpoint(first)
    assert state["counters"]["steps"] == {"critic": 1, "generator": 2}
    pixels = ["model.adversarial_weight=0", "model.generator_penalties.perceptual.weight=0"]
    same = [*common, "training.max_images=4", "training.evaluate_every=4", f"paths.outputs={tmp_path}/same"]
    runs = [tiny.run([*same, *more]) for more in (pixels, ["model.reconstruction_first=4"])]
    ours, theirs = (tiny.checkpoint(each)["state_dict"] for each in runs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name.startswith("generator."))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("model.reconstruction_first=-1", "reconstruction_first must be at least 0, got -1"),
        ("model.reconstruction_first=4 model/generator_penalties=perceptual", "0 without generator_penalties"),
    ],
)
def test_a_beginning_that_cannot_be_is_refused(typed, said):
    config = compose("train", ["model=super_resolution", "model.generator.depth=1", *typed.split()])
    with pytest.raises(InstantiationException, match=said):
        build(config.model)


def test_a_training_begins_with_weights_of_others(tmp_path):
    torch.manual_seed(3)
    published = Rrdb(16, 3, {"source": Picture((3, 4, 4))}, depth=1, width=4, growth=2)
    torch.save({"params": published.state_dict()}, tmp_path / "others.pth")
    begun = ["initial=published", f"initial.weights={tmp_path}/others.pth", f"paths.outputs={tmp_path}"]
    common = ["experiment=esrgan/photographs", *SMALL, *CRITIC, "logger=none", "model.generator_optimizer.lr=1e-9"]
    state = load_run(tiny.run([*common, *begun]).path, weights="raw").model.generator.state_dict()
    assert max((state[name] - tensor).abs().max() for name, tensor in published.state_dict().items()) < 1e-6
    with pytest.raises(ValueError, match=r"model.generator must be as in .*others.pth, x4, depth=1, width=4, growth=2"):
        PublishedWeights(str(tmp_path / "others.pth")).give(build(compose("train", common[:1]).model))
    with pytest.raises(ValueError, match=r"model.generator must be rrdb, of which weights are published, got VAE"):
        PublishedWeights(str(tmp_path / "others.pth")).give(build(compose("train", ["model=vae"]).model))
