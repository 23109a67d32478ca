"""A finished run as a part of another: a guide, named by its run and the digest of its weights."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image

import genexp
import tiny
from genexp.__main__ import main
from genexp.conditioning.base import Conditioning
from genexp.conditioning.kinds import Words
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.contracts.codecs import codec_of
from genexp.data.own_pictures import masks_for, own_pictures
from genexp.inference.trained import TrainedDenoiser, require_like_words
from genexp.inference.trained_codec import TrainedCodec
from genexp.sampling.ddim import DDIM
from genexp.sampling.walking import pictured
from genexp.tensors import IndexedNoise
from genexp.training.settle import settled

STORED = Path(__file__).parents[1] / "earlier_runs"


def test_it_denoises_as_the_run_does_and_knows_where_it_comes_from():
    guide, run = TrainedDenoiser(str(STORED / "toy"), "raw"), genexp.load_run(STORED / "toy", "raw")
    x_t, t = torch.randn(4, 2), torch.tensor([1, 10, 500, 1000])
    assert torch.equal(guide(x_t, t), run.model.source()(x_t, t))
    assert (guide.image_shape, guide.conditioning.names, guide.schedule.last) == ((2,), (), 1000)
    assert codec_of(guide) is None
    DDIM(clip=True).require(guide)
    assert pictured(guide, x_t) is x_t
    assert (guide.run, guide.weights, guide.checkpoint) == (run.folder.record["id"], "raw", "best.ckpt")
    with pytest.raises(ValueError, match=r"run must be of a diffusion model, got .*vae of VAE"):
        TrainedDenoiser(str(STORED / "vae"))


def test_a_run_is_guided_by_another(tmp_path, monkeypatch, capsys):
    """At scale 1 the guide changes nothing; beyond, images are others, and their record and folder say by what."""
    shutil.copytree(STORED / "toy", tmp_path / "toy")
    shutil.copytree(STORED / "toy", tmp_path / "guide")
    monkeypatch.chdir(tmp_path)
    given = ["sampler/guidance=autoguidance", "sampler.guidance.guide.run=guide", "sampler.guidance.guide.weights=raw"]

    def drawn(name, *typed):
        monkeypatch.setattr(sys, "argv", ["genexp", "sample", "run=toy", "num=3", f"out={name}", *typed])
        main()
        return (tmp_path / name / "points.csv").read_text()

    plain = drawn("plain")
    assert drawn("same", *given, "sampler.guidance.scale=1") == plain
    assert drawn("guided", *given) != plain
    record = json.loads((tmp_path / "guided" / "sample.json").read_text())
    guide = record["sampler"]["guidance"]["guide"]
    assert (guide["run"], guide["digest"]) == (str(tmp_path / "guide"), TrainedDenoiser("guide", "raw").digest)


def test_the_guide_is_asked_for():
    typed = ["sampler/guidance=autoguidance"]
    assert problems_of("train", typed) == []
    (told,) = problems_of("train", typed, here=True)
    assert told == "sampler.guidance.guide.run: must be given"


def test_the_run_of_a_guide_is_recorded_with_its_whole_path(tmp_path, monkeypatch):
    shutil.copytree(STORED / "toy", tmp_path / "guide")
    monkeypatch.chdir(tmp_path)
    typed = ["experiment=toy/diffusion_ring8", "sampler/guidance=autoguidance", "sampler.guidance.guide.run=guide"]
    plain = settled(compose("train", [*typed, "paths.outputs=here", "paths.cache=kept"]))
    places = [plain["sampler"], plain["callbacks"]["evaluate"]["sampler"], plain["callbacks"]["sample_grid"]["sampler"]]
    assert [each["guidance"]["guide"]["run"] for each in places] == [str(tmp_path / "guide")] * 3
    assert plain["paths"]["outputs"] == str(tmp_path / "here")
    assert plain["callbacks"]["evaluate"]["cache"] == str(tmp_path / "kept/statistics")


def test_a_codec_is_the_mean_of_the_posterior_and_back_times_a_scale():
    family, image = genexp.load_run(STORED / "vae").model, torch.rand(3, 1, 8, 8) * 2 - 1
    codec = TrainedCodec(str(STORED / "vae"), scale=2.0)
    assert (codec.image_shape, codec.code_shape) == ((1, 8, 8), (3,))
    torch.testing.assert_close(codec.encode(image), 2 * family.encode(image))
    torch.testing.assert_close(codec.decode(codec.encode(image)), family.decode(family.encode(image)))
    with torch.autocast("cpu", torch.bfloat16):  # as in a mixed-precision training
        mixed = codec.encode(image)
    assert torch.equal(mixed, codec.encode(image))
    assert codec == TrainedCodec(str(STORED / "vae"), scale=2.0)
    assert codec != TrainedCodec(str(STORED / "vae"))
    with pytest.raises(ValueError, match=r"run must be of an autoencoder, got .*toy of Diffusion"):
        TrainedCodec(str(STORED / "toy"))
    with pytest.raises(ValueError, match=r"run must be the one with the checkpoint 123, got .*vae with \w{12}: it was"):
        TrainedCodec(str(STORED / "vae"), digest="123")


LATENT = ["experiment=latent/digits", *tiny.COMMON, *tiny.LENGTH, "model.network.shape=[3]", "model.network.width=16"]


@pytest.fixture(scope="module")
def latent(tmp_path_factory):
    """A run of codes of a stored autoencoder, named by a relative path, and the folder it lies in."""
    folder = tmp_path_factory.mktemp("latent")
    shutil.copytree(STORED / "vae", folder / "ae")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = tiny.run([*LATENT, "model.codec.run=ae", "sampler.steps=3", f"paths.outputs={folder}"])
    return folder, run


def test_a_diffusion_of_codes_trains_draws_images_and_shows_its_steps(latent, tmp_path, monkeypatch, capsys):
    folder, run = latent
    opened = genexp.load_run(run.path)
    codec = TrainedCodec(str(folder / "ae"))
    recorded = opened.config.model.codec
    assert (recorded.run, recorded.digest) == (str(folder / "ae"), codec.digest)
    assert run.record["parts"] == {"model.codec": {"run": str(folder / "ae"), "digest": codec.digest}}
    assert run.record["parameters"].keys() == {"network"}
    assert not [key for key in tiny.checkpoint(run)["state_dict"] if not key.startswith("network.")]
    images = opened.samples(4)
    assert images.shape == (4, 1, 8, 8)
    noise = IndexedNoise(0, range(4))
    bare = build(opened.config.sampler).run(opened.model.denoiser, noise.normal(3), noise)
    torch.testing.assert_close(images, codec.decode(bare))
    monkeypatch.setattr(sys, "argv", ["genexp", "sample", f"run={run.path}", "num=2", "frames=3", f"out={tmp_path}"])
    main()
    assert (tmp_path / "denoising.png").exists()


def test_what_does_not_fit_a_codec_is_told_before_training(latent):
    folder, _ = latent
    given = [*LATENT, f"model.codec.run={folder / 'ae'}"]
    for typed, told in (
        (
            ["model.network.shape=[4]"],
            "model.network: must take codes of shape [3]: x_t must",
        ),
        (["data=shapes"], "model.codec.run: must be of images of shape [3, 32, 32], got one of [1, 8, 8]"),
        (["sampler.clip=true"], "sampler.clip: must be false for a model of codes"),
        ([f"model.codec.run={STORED / 'toy'}"], "model.codec.run: must be of an autoencoder, got"),
        (["metrics=likelihood"], "metrics.likelihood: must fit the model: LogLikelihood measures a Density, got"),
    ):
        assert [line for line in problems_of("train", [*given, *typed]) if line.startswith(told)], typed
    (asked,) = problems_of("train", LATENT, here=True)
    assert asked == "model.codec.run: must be given"


def test_a_codec_that_was_trained_further_is_refused(latent, tmp_path):
    _, run = latent
    config = genexp.load_run(run.path).config.model.codec
    config.run = str(tmp_path / "ae")
    shutil.copytree(STORED / "vae", tmp_path / "ae")
    weights = tmp_path / "ae" / "checkpoints" / "best.ckpt"
    (weights if weights.exists() else weights.with_name("last.ckpt")).write_bytes(tiny_checkpoint())
    with pytest.raises(InstantiationException, match="it was trained further or replaced"):
        build(config)


def tiny_checkpoint():
    return next((STORED / "toy" / "checkpoints").glob("*.ckpt")).read_bytes()


def test_words_of_another_order_are_refused_and_longer_lists_left_to_their_shapes():
    def told(*words):
        return Conditioning({"caption": Words(list(words), length=4)})

    require_like_words(told("blue", "red"), told("blue", "red", "green"))
    require_like_words(told("blue", "red"), Conditioning())
    with pytest.raises(
        ValueError, match=r"conditions\.caption must number its words as initial\.run does, whose number 2"
    ):
        require_like_words(told("blue", "red", "cross"), told("blue", "cross", "red"))


def test_masks_are_those_of_the_names_of_their_pictures(tmp_path):
    for folder, names in (("pictures", "ac"), ("masks", "abc"), ("others", "xyz")):
        (tmp_path / folder).mkdir()
        for name in names:
            mask = Image.new("L", (8, 8), 0)
            mask.paste(255, (0, 0, 8, "abcxyz".index(name) % 3 + 1))  # so many white rows
            mask.save(tmp_path / folder / f"{name}.png")
    pictures = own_pictures(str(tmp_path / "pictures"), 8, 1)
    rows = {name: masks_for(pictures, str(tmp_path / name)).sum((1, 2, 3)).tolist() for name in ("masks", "others")}
    assert rows == {"masks": [8, 24], "others": [8, 16]}
    for folder in ("pictures", "masks"):  # of one name in two folders
        for name in "ab":
            place = tmp_path / "nested" / folder / name
            place.mkdir(parents=True)
            shutil.copy(tmp_path / "masks" / f"{name}.png", place / "0.png")
    nested = own_pictures(str(tmp_path / "nested" / "pictures"), 8, 1)
    assert masks_for(nested, str(tmp_path / "nested" / "masks")).sum((1, 2, 3)).tolist() == [8, 16]
