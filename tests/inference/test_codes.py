"""First stages whose latents are maps: what they are, decoded in tiles, and as codecs of a diffusion."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genexp
import tiny
from genexp.adversarial.reconstructed import ReconstructionCritic
from genexp.commands.sample import sample
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.data.shape_pictures import factor_levels
from genexp.data.shapes import Shapes
from genexp.evaluation.extractors.shape_reader import ShapeReader
from genexp.inference.codes import decode_in_tiles, in_the_cache
from genexp.inference.shipped_codec import ShippedCodec
from genexp.inference.trained_codec import TrainedCodec
from genexp.networks.map_codec import MapCodec
from genexp.networks.spatial import SpatialDecoder, SpatialEncoder
from genexp.restoration.tiled_decoding import in_tiles

SMALL = [
    *("data.image_size=16", "data.batch_size=4", "model.latent_size=64", "model.encoder.width=8"),
    *("model.decoder.width=8", "model.bound.critic.discriminator.width=4", "model.bound.start=8"),
    *("training.max_images=16", "training.evaluate_every=16", "data.source.train_images=960"),
    *("model.bound.critic.discriminator.receptive_field=1",),
]


def test_a_latent_is_its_maps_in_a_row_and_the_first_half_of_an_encoders_numbers_are_means():
    encoder, decoder = SpatialEncoder(3, 16, 64, width=8), SpatialDecoder(3, 16, 64, width=8)
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    maps = encoder.maps(image)
    assert maps.shape == (2, 8, 4, 4)
    means = maps[:, :4].contiguous()  # a convolution may add in another order where numbers lie apart
    assert torch.equal(encoder(image)[:, :64], means.flatten(1))
    assert torch.equal(decoder(means.flatten(1)), decoder.images(means))
    with pytest.raises(ValueError, match="latent_size must be a multiple of the 4 x 4 places of a map, got 65"):
        SpatialEncoder(3, 16, 65)


@torch.no_grad()
def test_tiles_are_the_whole_where_a_decoder_says_how_far_it_looks():
    torch.manual_seed(0)
    local, maps = MapCodec(width=8).eval(), torch.randn(2, 4, 24, 20)
    whole = local.decode(maps)
    torch.testing.assert_close(in_tiles(local, maps, 24), whole, rtol=0, atol=1e-5)
    near = maps.clone()
    near[:, :, 0, 0] += 5  # a pixel sees places up to its reach, and no further
    seen = (local.decode(near) != whole).any(1).nonzero()[:, 1:].max()
    assert seen < 4 * (local.reach + 1)
    other = MapCodec(width=8, norm="group").eval()
    blended, wanted = in_tiles(other, maps, 64), other.decode(maps)
    assert blended.shape == wanted.shape
    assert other.reach is None
    with pytest.raises(ValueError, match="tile must be a multiple of 4 pixels, the factor of the codec, got 10"):
        in_tiles(local, maps, 10)


@torch.no_grad()
def test_the_shipped_first_stage_gives_shapes_back_by_codes_of_unit_variance():
    codec = ShippedCodec("shapes_first_stage", (3, 64, 64))
    test, reader = Shapes(64).split("test"), ShapeReader()
    image = test.read(torch.arange(48))["image"].float() / 127.5 - 1
    code = codec.encode(image)
    assert tuple(code.shape[1:]) == codec.code_shape == (4, 16, 16)
    assert code.std() == pytest.approx(1, abs=0.1)
    assert 10 * torch.log10(4 / (codec.decode(code) - image).square().mean()) > 36
    shown, levels = reader.read(reader(codec.decode(code))), factor_levels(test.mode[:48])
    assert torch.stack([shown[name] == levels[name] for name in levels]).all(0).sum() >= 47  # small ones, too
    tiled = ShippedCodec("shapes_first_stage", (3, 64, 64), tile=32)
    torch.testing.assert_close(tiled.decode(code), codec.decode(code), rtol=0, atol=1e-4)
    for shape, told in (((1, 64, 64), "must have the 3 channels"), ((3, 66, 66), "factor 4 divides, got")):
        with pytest.raises(ValueError, match=told):
            ShippedCodec("shapes_first_stage", shape)


def test_a_run_is_drawn_in_tiles_that_it_was_not_trained_with(tmp_path):
    small = [
        "data.image_size=32",
        "model.network.image_size=8",
        "model.network.width=8",
        "data.source.train_images=960",
    ]
    short = ["data.batch_size=4", "training.max_images=4", "training.evaluate_every=4", "metrics=none"]
    rest = [each for each in tiny.COMMON if "evaluate.num" not in each]
    run = tiny.run(["experiment=ldm/shapes", *small, *short, *rest, "sampler.steps=2", f"paths.outputs={tmp_path}"])
    drawn = {}
    for name, typed in {"whole": [], "tiles": ["tile=16"]}.items():
        few = ["num=2", "frames=0", "interpolate=0", "threads=1", f"out={tmp_path / name}"]
        sample(compose("sample", [f"run={run.path}", *few, *typed]))
        drawn[name] = np.asarray(Image.open(tmp_path / name / "images" / "000001.png").convert("RGB")).astype(int)
    assert np.abs(drawn["whole"] - drawn["tiles"]).max() <= 1
    record = json.loads((tmp_path / "tiles" / "sample.json").read_text())
    assert record["tile"] == 16
    assert "tile" not in json.loads((tmp_path / "whole" / "sample.json").read_text())
    with pytest.raises(ValueError, match="tile must be a multiple of 4 pixels, the factor of the codec, got 10"):
        sample(compose("sample", [f"run={run.path}", "num=2", "tile=10"]))


@torch.no_grad()
def test_many_images_are_coded_as_each_alone():
    codec = ShippedCodec("shapes_first_stage", (3, 64, 64))
    image = Shapes(64).split("test").read(torch.arange(11))["image"].float() / 127.5 - 1
    code = codec.encode(image)
    decoded = codec.decode(code)
    alone = [codec.encode(image[i : i + 1]) for i in range(11)], [codec.decode(code[i : i + 1]) for i in range(11)]
    for many, each in zip((code, decoded), alone, strict=True):
        assert many.is_contiguous()
        torch.testing.assert_close(many, torch.cat(each), rtol=0, atol=1e-5)


def test_tiles_reach_every_model_of_maps_and_no_other():
    codec = ShippedCodec("shapes_first_stage", (3, 64, 64))
    of_codes, of_images = SimpleNamespace(codec=codec), SimpleNamespace(codec=None)
    decode_in_tiles([of_images, of_codes], 32)
    assert codec.tile == 32
    with pytest.raises(ValueError, match="tile must be null for a run that draws no codes which are maps, got 32"):
        decode_in_tiles([of_images], 32)


class _Scores:
    """A critic whose loss for fakes y is -gain * mean y."""

    def __init__(self, gain):
        self.gain = gain

    def generator_loss(self, real, fake, told, drawn):
        return -self.gain * fake.flatten(1).mean(1)


def test_the_critics_weight_is_the_ratio_of_the_gradients_of_the_last_layer():
    """Of y = w x the gradient of the reconstruction 3 mean(y) is 3 mean(x), that of the critic -gain mean(x)."""
    x = torch.rand(4, 2) + 1
    for gain in (0.1, 10.0):
        layer = nn.Linear(2, 1, bias=False)
        y = layer(x)
        judge = ReconstructionCritic.__new__(ReconstructionCritic)
        nn.Module.__init__(judge)
        judge.critic, judge.weight, judge.start, judge.adaptive = _Scores(gain), 0.5, 0, True
        terms = judge.terms(x, y, 3 * y.flatten(), layer.weight, {}, {})
        assert terms["adversarial_weight"].tolist() == pytest.approx([0.5 * 3 / gain] * 4, rel=1e-4)
        torch.testing.assert_close(terms["adversarial"], terms["adversarial_weight"] * terms["generator"])


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    typed = ["experiment=ldm/first_stage", *tiny.COMMON, *SMALL, f"paths.outputs={folder}"]
    return tiny.run([each for each in typed if "evaluate.num" not in each])


def test_a_first_stage_trains_with_its_critic_from_the_image_it_says(first_stage):
    state = tiny.checkpoint(first_stage)
    assert state["counters"]["steps"] == {"autoencoder": 4, "opponent": 2}
    codec = TrainedCodec(str(first_stage.path), image_shape=(3, 32, 24))
    assert codec.code_shape == (4, 8, 6)
    image = torch.rand(1, 3, 32, 24) * 2 - 1
    assert codec.decode(codec.encode(image)).shape == image.shape
    family = genexp.load_run(first_stage.path).model
    small = torch.rand(2, 3, 16, 16) * 2 - 1
    codec = TrainedCodec(str(first_stage.path), scale=2.0)
    torch.testing.assert_close(codec.encode(small).flatten(1), 2 * family.encode(small))
    torch.testing.assert_close(codec.decode(codec.encode(small)), family.decode(family.encode(small)))


def test_a_diffusion_of_its_maps_trains_and_draws_images(first_stage, tmp_path):
    given = ["experiment=ldm/shapes", "model/codec=trained", f"model.codec.run={first_stage.path}", *tiny.COMMON]
    small = ["data.image_size=16", "model.network.image_size=4", "model.network.width=8", "data.batch_size=4"]
    few = ["training.max_images=8", "training.evaluate_every=8", "metrics=none", "data.source.train_images=960"]
    few = [*few, "sampler.steps=2", "model.codec.scale=measured"]
    run = tiny.run([each for each in [*given, *small, *few, f"paths.outputs={tmp_path}"] if "evaluate.num" not in each])
    opened = genexp.load_run(run.path)
    scale, images = opened.config.model.codec.scale, next(build(opened.config.data).training_images())["image"]
    latents = TrainedCodec(str(first_stage.path)).encode(images)  # of 256, where all 960 are measured
    assert scale == pytest.approx(1 / float(latents.std()), rel=0.1)
    assert scale != pytest.approx(1, rel=0.01)
    assert opened.samples(3).shape == (3, 3, 16, 16)
    wrong = [*given, *small, "model.network.channels=3"]
    assert [line for line in problems_of("train", wrong) if "must take codes of shape [4, 4, 4]" in line]


def test_a_batch_is_cut_for_the_cache_as_torch_runs_and_whole_in_a_graph():
    sizes = []

    class Counted(nn.Module):
        def forward(self, batch):
            return in_the_cache(lambda part: (sizes.append(part.shape[0]), 2 * part)[1], batch)

    batch = torch.arange(20.0)[:, None]
    torch.testing.assert_close(Counted()(batch), 2 * batch)
    assert sizes == [8, 8, 4]
    graph = torch.export.export(Counted(), (batch[:3],), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    torch.testing.assert_close(graph(batch), 2 * batch)
