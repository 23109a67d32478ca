"""Likelihoods of several numbers a pixel sum or integrate to one, and decode to their mean."""

import itertools

import pytest
import torch

from genexp.losses.pixel_distributions import (
    Categorical,
    DiscretisedLogistic,
    DiscretisedLogisticMixture,
    GaussianPerPixel,
)
from genexp.tensors import from_levels

LEVELS = 5
DISCRETE = {
    "logistic": lambda channels: DiscretisedLogistic(LEVELS),
    "mixture": lambda channels: DiscretisedLogisticMixture(channels, 3, LEVELS),
    "categorical": lambda channels: Categorical(LEVELS),
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("channels", [1, 2])
def test_probabilities_of_all_levels_of_a_pixel_sum_to_one(name, channels):
    likelihood = DISCRETE[name](channels)
    raw = torch.randn(1, likelihood.outputs(channels), 1, 1).double() * 2
    every = torch.tensor(list(itertools.product(range(LEVELS), repeat=channels)))
    images = from_levels(every, LEVELS).double()[..., None, None]
    nats = likelihood(raw.expand(len(images), -1, -1, -1), images)
    assert nats.neg().exp().sum().item() == pytest.approx(1, abs=1e-6)
    shown = likelihood.mean(raw)
    assert shown.shape == (1, channels, 1, 1)
    assert shown.abs().max() <= 1
    if name == "categorical":
        expected = (nats.neg().exp()[:, None] * images.flatten(1)).sum(0)
        torch.testing.assert_close(shown.flatten(), expected, rtol=1e-6, atol=1e-6)


def test_the_density_of_every_value_integrates_to_one_and_has_its_moments():
    likelihood = GaussianPerPixel()
    raw = torch.tensor([0.3, -0.8]).double().view(1, 2, 1, 1)
    places = torch.linspace(-8, 8, 20_001, dtype=torch.float64).view(-1, 1, 1, 1)
    mass = likelihood(raw.expand(len(places), -1, -1, -1), places).neg().exp() * (places[1] - places[0]).item()
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    mean = (mass * places.flatten()).sum()
    assert mean.item() == pytest.approx(0.3, abs=1e-6)
    std = (mass * (places.flatten() - mean).square()).sum().sqrt()
    assert std.item() == pytest.approx(torch.nn.functional.softplus(torch.tensor(-0.8)).item() + 1 / 255, abs=1e-6)
    assert likelihood.mean(raw).item() == pytest.approx(0.3)


def test_channels_of_a_mixture_depend_on_each_other():
    likelihood = DiscretisedLogisticMixture(2, 1, LEVELS)
    raw = torch.tensor([0.0, 0.0, 0.0, -1.5, -1.5, 3.0]).double().view(1, -1, 1, 1)  # the last is their coefficient
    alike, unlike = (torch.tensor(pair).double().view(1, 2, 1, 1) for pair in ([1.0, 1.0], [1.0, -1.0]))
    assert likelihood(raw, alike) < likelihood(raw, unlike) - 1


def test_data_are_taken_at_the_nearest_level():
    image = torch.tensor([[-1.0, -0.7, 0.1, 0.9]])
    for make in DISCRETE.values():
        observed = make(1).observe(image, torch.rand(1, 4))
        assert observed.tolist() == [[-1.0, -0.5, 0.0, 1.0]]
        assert make(1).levels == LEVELS


def test_arguments_are_checked():
    for make in (DiscretisedLogistic, Categorical):
        with pytest.raises(ValueError, match=r"levels must lie in \[2, 256\], got 1"):
            make(1)
    with pytest.raises(ValueError, match="mixtures must be at least 1, got 0"):
        DiscretisedLogisticMixture(1, 0)
    with pytest.raises(ValueError, match="channels must be 3 as of the images, got 1"):
        DiscretisedLogisticMixture(1).outputs(3)
    with pytest.raises(ValueError, match=r"raw must have the shape \(2, 2, 4, 4\) for image of 1, got \(2, 1, 4, 4\)"):
        GaussianPerPixel()(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
