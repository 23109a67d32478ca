"""Weights of integrals: polynomials are integrated exactly, at any length."""

import math

import pytest
import torch

from genexp.sampling.quadrature import even_moments, exponential_moments, weights


@pytest.mark.parametrize("length", [1e-8, 1e-3, 0.3, 0.999, 1.001, 4.0, 30.0, -1e-3, -0.7, -1.3, -6.0])
def test_exponential_moments_are_the_integrals(length):
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    weight = length * torch.exp(length * (u - 1)) / 200_000
    for k, moment in enumerate(exponential_moments(length, 4)):
        assert moment == pytest.approx(float((weight * u**k).sum()), rel=1e-6)


def test_two_values_share_the_whole_as_if_the_weight_were_even():
    assert exponential_moments(0.7, 1) == [-math.expm1(-0.7)]
    assert exponential_moments(0.7, 2, even=False)[1] == pytest.approx(1 + math.expm1(-0.7) / 0.7)
    assert exponential_moments(0.7, 2) == [-math.expm1(-0.7), -math.expm1(-0.7) / 2]


def test_weights_integrate_the_polynomial_through_any_places():
    places, curve = (0.0, -0.4, -1.3, 1.0), lambda u: 2 - u + 3 * u**2 - 5 * u**3
    found = sum(weight * curve(place) for weight, place in zip(weights(places, even_moments(4)), places, strict=True))
    assert found == pytest.approx(2 - 1 / 2 + 1 - 5 / 4)


def test_equal_steps_have_the_weights_of_adams_and_bashforth():
    assert weights([0, -1], even_moments(2)) == pytest.approx([3 / 2, -1 / 2])
    assert weights([0, -1, -2], even_moments(3)) == pytest.approx([23 / 12, -16 / 12, 5 / 12])
    assert weights([0, -1, -2, -3], even_moments(4)) == pytest.approx([55 / 24, -59 / 24, 37 / 24, -9 / 24])
