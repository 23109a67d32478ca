"""Autoregressive densities: probabilities that sum to one, and draws that follow them."""

import itertools
import math

import pytest
import torch

from genexp.contracts import Autoregressive, Density
from genexp.densities.autoregressive import AutoregressiveCategorical
from genexp.networks.pixelcnn import PixelCNN
from genexp.sampling.ancestral import Ancestral
from genexp.sampling.interpolation import slerp
from genexp.tensors import BatchNoise, IndexedNoise, from_levels, to_levels


def toy(shape=(1, 2, 2), levels=3, num_classes=None):
    torch.manual_seed(1)
    network = PixelCNN(shape, levels, width=4, depth=1, kernel_size=3, num_classes=num_classes)
    torch.nn.init.normal_(network.last.weight, std=1.5)
    torch.nn.init.normal_(network.last.bias)
    return AutoregressiveCategorical(network, shape, levels, num_classes=num_classes).eval()


def every_image(shape, levels):
    values = itertools.product(range(levels), repeat=math.prod(shape))
    return from_levels(torch.tensor(list(values)).view(-1, *shape), levels)


@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((2, 1, 2), 3)])
def test_the_probabilities_of_all_images_sum_to_one(shape, levels):
    log_prob = toy(shape, levels).log_prob({"image": every_image(shape, levels)})
    assert float(log_prob.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert log_prob.std() > 0.5


def test_each_class_has_a_distribution_of_its_own():
    model, images = toy(num_classes=2), every_image((1, 2, 2), 3)
    first, second = (model.log_prob({"image": images, "label": torch.full((len(images),), label)}) for label in (0, 1))
    assert [round(float(each.exp().sum()), 4) for each in (first, second)] == [1, 1]
    assert not torch.allclose(first, second)


def test_sampled_frequencies_are_the_probabilities():
    model, count = toy(), 6000
    images = every_image((1, 2, 2), 3)
    noise = IndexedNoise(0, range(count))
    drawn = Ancestral().run(model, Ancestral().start(model, noise), noise)
    found = (drawn.flatten(1)[:, None] == images.flatten(1)).all(2).float().mean(0)
    assert float(found.sum()) == pytest.approx(1)
    expected = model.log_prob({"image": images}).exp()
    assert float(((found - expected) ** 2 / expected).sum() * count) < 123  # chi squared, 80 degrees of freedom, 0.1 %


def test_an_image_follows_from_its_own_noise_alone_and_noises_can_be_interpolated():
    model, sampler = toy((1, 3, 3), 5), Ancestral(temperature=0.7)

    def drawn(indices):
        noise = IndexedNoise(3, indices)
        return sampler.run(model, sampler.start(model, noise), noise)

    assert torch.equal(drawn(range(6))[4:], drawn([4, 5]))
    first, second = (sampler.start(model, IndexedNoise(3, [i])) for i in (4, 5))
    middle = sampler.run(model, slerp(first, second, 0.0), IndexedNoise(3, [4]))
    assert torch.equal(middle, drawn([4]))


def test_a_low_temperature_draws_the_most_likely_value_of_every_pixel():
    model, sampler = toy((1, 2, 2), 4), Ancestral(temperature=1e-6)
    noise = IndexedNoise(0, range(20))
    drawn = sampler.run(model, sampler.start(model, noise), noise)
    assert torch.equal(drawn, drawn[:1].expand_as(drawn))
    assert torch.equal(model.logits(drawn).argmax(1), to_levels(drawn, 4))


def test_levels_are_spread_evenly_over_the_range_and_come_back():
    for levels in (2, 17, 256):
        level = torch.arange(levels)
        values = from_levels(level, levels)
        assert values[[0, -1]].tolist() == [-1, 1]
        assert torch.equal(to_levels(values, levels), level)
    digits = (torch.arange(17) * 255 / 16).round() / 127.5 - 1  # as 8-bit images hold 17 levels
    assert torch.equal(to_levels(digits, 17), torch.arange(17))


def test_data_are_observed_at_the_levels():
    model, image = toy(levels=3), torch.tensor([-0.9, -0.4, 0.6, 0.2]).view(1, 1, 2, 2)
    assert isinstance(model, Density)
    assert isinstance(model, Autoregressive)
    assert model.observe({"image": image}, BatchNoise(image))["image"].flatten().tolist() == [-1, 0, 1, 0]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"levels must lie in \[2, 65536\], got 1"):
        AutoregressiveCategorical(torch.nn.Identity(), (1, 2, 2), levels=1)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        Ancestral(temperature=0)
    with pytest.raises(TypeError, match="Ancestral draws from an Autoregressive, got Identity"):
        Ancestral().require(torch.nn.Identity())


def test_pixels_are_drawn_black_or_white_with_their_intensity_as_probability():
    network = PixelCNN((1, 2, 2), 2, width=4, depth=1)
    model = AutoregressiveCategorical(network, (1, 2, 2), 2, binarise="dynamic")
    image = torch.tensor([-1.0, -0.5, 0.4, 1.0]).view(1, 1, 2, 2).expand(20_000, -1, -1, -1)
    drawn = model.observe({"image": image}, BatchNoise(image))["image"]
    assert set(drawn.unique().tolist()) == {-1, 1}
    torch.testing.assert_close(drawn.mean(0).flatten(), torch.tensor([-1.0, -0.5, 0.4, 1.0]), rtol=0, atol=0.03)
    for options, told in (
        ({"levels": 3, "binarise": "dynamic"}, "binarise must be none with 3 levels, got dynamic, which makes 2"),
        ({"levels": 2, "binarise": "twice"}, "binarise must be one of none, dynamic, got twice"),
    ):
        with pytest.raises(ValueError, match=told):
            AutoregressiveCategorical(network, (1, 2, 2), **options)
