"""Which moments batch norm normalises by when images are drawn, and that the model is left as it was."""

import copy

import pytest
import torch
from torch import nn

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.networks.dcgan import DCGANGenerator
from genexp.sampling.latent import Latent, truncate
from genexp.sampling.standing_statistics import LatentByStatistics
from genexp.tensors import IndexedNoise


class Model(nn.Module):
    """latent -> norm(scale * latent + label), so that the moments before the norm are known."""

    latent_shape, conditioning = (3,), Conditioning.of(4)

    def __init__(self, scale=5.0):
        super().__init__()
        self.scale, self.norm = scale, nn.BatchNorm1d(3)

    def decode(self, latent, condition=UNCONDITIONAL):
        return self.norm(self.scale * latent + (condition["label"][:, None] if condition else 0))


def drawn(sampler, model, count=64, labelled=False):
    noise = IndexedNoise(1, range(count))
    condition = {"label": torch.zeros(count, dtype=torch.int64)} if labelled else {}
    return sampler.run(model, sampler.start(model, noise), noise, condition), IndexedNoise(1, range(count)).normal(3)


def test_recomputed_statistics_are_those_of_the_weights_in_use():
    model = Model().eval()  # running averages still say mean 0 and variance 1
    images, latents = drawn(LatentByStatistics(images=20_000), model)
    torch.testing.assert_close(images, latents, atol=0.05, rtol=0.02)
    assert drawn(Latent(), model)[0].std() > 4


def test_recomputed_statistics_follow_classes_in_equal_shares_and_the_truncation():
    model = Model(scale=1.0).eval()
    images, latents = drawn(LatentByStatistics(images=40_000), model, labelled=True)
    torch.testing.assert_close(images, (latents - 1.5) / (1 + 1.25) ** 0.5, atol=0.05, rtol=0.02)  # of labels 0 .. 3
    images, latents = drawn(LatentByStatistics(images=40_000, truncation=0.5), model)
    cut = truncate(latents, 0.5)
    spread = truncate(torch.randn(100_000, generator=torch.Generator().manual_seed(0)), 0.5).std()
    torch.testing.assert_close(images, cut / spread, atol=0.05, rtol=0.02)


def test_an_image_by_recomputed_statistics_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    model = Model().eval()
    sampler = LatentByStatistics(images=500)
    torch.testing.assert_close(drawn(sampler, model, 4)[0], drawn(sampler, model, 64)[0][:4])


def test_statistics_of_the_batch_make_its_moments_zero_and_one():
    images, latents = drawn(LatentByStatistics("batch"), Model().eval())
    torch.testing.assert_close(images.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.var(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    expected = (latents - latents.mean(0)) / latents.std(0, correction=0)
    torch.testing.assert_close(images, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("statistics", ["recomputed", "batch"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(statistics, training):
    torch.manual_seed(0)
    model = Decoder(DCGANGenerator(8, 1, 4, width=4)).train(training)
    model(torch.randn(8, 4))
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    drawn_twice = [LatentByStatistics(statistics, images=20) for _ in range(2)]
    noise = IndexedNoise(0, range(8))
    start = drawn_twice[0].start(model, noise)
    first, second = (sampler.run(model, start, noise) for sampler in drawn_twice)
    assert torch.equal(first, second)
    assert not torch.equal(first, Latent().run(model.eval(), start, noise))
    model.train(training)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert all(m.momentum == 0.1 and m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm2d))


class Decoder(nn.Module):
    latent_shape, conditioning = (4,), Conditioning()

    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def decode(self, latent, condition=UNCONDITIONAL):
        return self.generator(latent, condition)

    forward = decode


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="statistics must be one of recomputed, batch, got 'running'"):
        LatentByStatistics("running")
    with pytest.raises(ValueError, match="images must be at least 2 latents, got 1"):
        LatentByStatistics(images=1)
    plain = Decoder(DCGANGenerator(8, 1, 4, width=4, norm="none"))
    noise = IndexedNoise(0, range(2))
    with pytest.raises(ValueError, match="model must have batch norm to draw by recomputed statistics, got none"):
        LatentByStatistics().run(plain, noise.normal(4), noise)
    one = IndexedNoise(0, [0])
    with pytest.raises(ValueError, match="statistics of the batch need at least 2 images a batch, got 1"):
        LatentByStatistics("batch").run(Model(), one.normal(3), one)
