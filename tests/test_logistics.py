"""Discretised logistics and their mixtures: probabilities that sum to one, against the plain difference of CDFs."""

import itertools

import pytest
import torch

from genexp.logistics import LEAST_LOG_SCALE, LogisticMixture, log_probability, numbers_of
from genexp.tensors import from_levels


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("log_scale", [-30.0, -5.0, -1.0, 3.0])
def test_the_probabilities_of_all_levels_sum_to_one(levels, log_scale):
    mean = torch.tensor([-30.0, -1.0, -0.2, 0.0, 0.61, 2.0], dtype=torch.float64)[:, None]
    nats = log_probability(torch.arange(levels), mean, torch.tensor(log_scale, dtype=torch.float64), levels)
    torch.testing.assert_close(nats.exp().sum(1), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_level_has_the_difference_of_the_distribution_function_at_its_edges():
    levels, mean, log_scale = 17, torch.tensor(0.3, dtype=torch.float64), torch.tensor(-1.5, dtype=torch.float64)
    edges = (torch.arange(16, dtype=torch.float64) + 0.5) / 8 - 1
    below = torch.cat([torch.zeros(1), torch.sigmoid((edges - mean) / log_scale.exp()), torch.ones(1)])
    found = log_probability(torch.arange(levels), mean, log_scale, levels)
    torch.testing.assert_close(found.exp(), below.diff(), rtol=1e-12, atol=0)


def test_far_tails_stay_finite_with_finite_slopes_in_float32():
    mean = torch.tensor([-50.0, 0.0, 50.0])[:, None].requires_grad_()
    log_scale = torch.tensor([-9.0, LEAST_LOG_SCALE + 0.1, 20.0]).view(3, 1, 1).requires_grad_()
    nats = log_probability(torch.arange(256), mean, log_scale, 256)
    assert torch.isfinite(nats).all()
    assert all(torch.isfinite(slope).all() for slope in torch.autograd.grad(nats.sum(), (mean, log_scale)))


def mixture(channels, mixtures, levels, places=()):
    generator = torch.Generator().manual_seed(0)
    shape = (1, numbers_of(channels, mixtures), *places)
    numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
    return LogisticMixture.of(numbers, channels, mixtures, levels)


def spread_over(one, places):
    """The same mixture at every one of so many places."""
    parts = (one.log_weights, one.means, one.log_scales, one.coefficients)
    return LogisticMixture(*(each[..., None].expand(*each.shape, places) for each in parts), one.levels)


@pytest.mark.parametrize(("channels", "levels"), [(1, 17), (2, 7), (3, 5)])
def test_the_probabilities_of_all_pixels_sum_to_one_and_are_the_product_of_the_channels(channels, levels):
    every = torch.tensor(list(itertools.product(range(levels), repeat=channels))).T[None]  # (1, C, pixels)
    spread = spread_over(mixture(channels, 3, levels), every.shape[2])
    joint = spread.log_prob(every)
    assert float(joint.exp().sum()) == pytest.approx(1, abs=1e-12)
    chain = sum(spread.conditional(every, c).gather(1, every[:, None, c])[:, 0] for c in range(channels))
    torch.testing.assert_close(chain, joint, rtol=1e-12, atol=1e-12)


def test_a_conditional_does_not_look_at_the_channel_itself_or_at_later_ones():
    one, level = mixture(3, 2, 9), torch.tensor([[2, 5, 7]])
    for channel in range(3):
        other = level.clone()
        other[:, channel:] = 0
        torch.testing.assert_close(one.conditional(level, channel), one.conditional(other, channel), rtol=0, atol=0)
        if channel:
            other[:, channel - 1] = 8
            assert not torch.equal(one.conditional(level, channel), one.conditional(other, channel))


def test_the_mean_is_that_of_drawn_pixels():
    """Scales far inside the range, so that little is cut off."""
    numbers = torch.zeros(1, numbers_of(2, 2), dtype=torch.float64)
    numbers[0, :2] = torch.tensor([0.3, -0.4])  # weights
    numbers[0, 2:] = torch.tensor([0.2, -0.1, -4, -4, 0.5, -0.3, 0.1, -4, -4, 0.9])  # means, scales, coefficient; twice
    one = LogisticMixture.of(numbers, 2, 2, 256)
    level = torch.tensor([[0, 0]])
    first = one.conditional(level, 0).exp()[0]
    values = from_levels(torch.arange(256), 256).double()
    every = torch.arange(256)[None].expand(2, -1)[None]  # channel 0 at every level
    second = (spread_over(one, 256).conditional(every, 1).exp()[0] * values[:, None]).sum(0)
    expected = torch.stack([first @ values, first @ second])
    torch.testing.assert_close(one.mean()[0], expected, rtol=0, atol=2e-3)


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="mixtures must be at least 1, got 0"):
        numbers_of(3, 0)
    with pytest.raises(ValueError, match="parameters must be 100 a pixel for 10 mixtures of 3 channels, got 30"):
        LogisticMixture.of(torch.zeros(1, 30, 4, 4), 3, 10, 256)
