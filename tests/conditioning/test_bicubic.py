"""Matlab's imresize, by coefficients worked out by hand, by properties, and beside Pillow's own filter."""

import numpy as np
import pytest
import torch
from PIL import Image

from genexp.conditioning.bicubic import cubic, resized, taps

QUARTERS = [0.8671875, 0.2265625, -0.0703125, -0.0234375]
"""The kernel at 1/4, 3/4, 5/4 and 7/4, by hand: 1.5 / 64 - 2.5 / 16 + 1 = 0.8671875, and so on."""


def test_the_kernel_has_the_values_of_its_formula():
    places = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5], dtype=torch.float64)
    expected = [1.0, QUARTERS[0], 0.5625, QUARTERS[1], 0.0, QUARTERS[2], -0.0625, QUARTERS[3], 0.0, 0.0]
    assert cubic(places).tolist() == expected
    assert torch.equal(cubic(-places), cubic(places))


def test_twice_as_large_an_impulse_shows_the_kernel_at_quarters():
    line = torch.zeros(1, 9, dtype=torch.float64)
    line[0, 4] = 1
    response = resized(line.expand(9, 9), 2)[0]
    assert response[5:9].tolist() == pytest.approx(QUARTERS[::-1], abs=1e-12)
    assert response[9:13].tolist() == pytest.approx(QUARTERS, abs=1e-12)
    assert not response[:5].any()
    assert not response[13:].any()


def test_half_as_large_the_kernel_is_twice_as_wide_and_the_picture_is_mirrored_at_its_ends():
    index, weight = taps(16, 0.5)
    inner = dict(zip(index[4].tolist(), weight[4].tolist(), strict=True))
    half = [each / 2 for each in QUARTERS]
    assert inner == pytest.approx(dict(zip(range(5, 13), [*half[::-1], *half], strict=True)), abs=1e-12)
    first = {}
    for place, share in zip(index[0].tolist(), weight[0].tolist(), strict=True):
        first[place] = first.get(place, 0) + share
    mirrored = [half[0] + half[1], half[0] + half[2], half[1] + half[3], half[2], half[3]]  # -1, -2, -3 are 0, 1, 2
    assert [first[place] for place in range(5)] == pytest.approx(mirrored, abs=1e-12)


@pytest.mark.parametrize("scale", [0.25, 1 / 3, 0.5, 0.7, 1, 2, 3, 4])
def test_constants_stay_and_ramps_stay_straight(scale):
    for size in (7, 12, 31):
        _, weight = taps(size, scale)
        assert torch.allclose(weight.sum(1), torch.ones(len(weight), dtype=torch.float64))
    ramp = torch.arange(48, dtype=torch.float64).expand(48, 48)
    made = resized(ramp, scale)[10]
    centre = (torch.arange(len(made), dtype=torch.float64) + 0.5) / scale - 0.5
    inside = (centre > 2 * max(1, 1 / scale)) & (centre < 47 - 2 * max(1, 1 / scale))
    tolerance = 1e-9 if scale in (0.25, 0.5, 1, 2, 3, 4) else 0.05  # a widened kernel is only nearly exact between
    assert (made - centre).abs()[inside].max() < tolerance


def test_both_axes_are_treated_alike():
    picture = torch.rand(2, 3, 12, 20, dtype=torch.float64)
    assert torch.allclose(resized(picture, 0.5).mT, resized(picture.mT, 0.5))
    assert resized(picture, 0.3).shape == (2, 3, 4, 6)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("larger", [False, True])
def test_away_from_the_borders_it_is_pillows_antialiased_bicubic(factor, larger):
    picture = torch.rand(48, 60)
    scale = factor if larger else 1 / factor
    size = (round(60 * scale), round(48 * scale))
    theirs = np.asarray(Image.fromarray(picture.numpy()).resize(size, Image.Resampling.BICUBIC))
    ours = resized(picture, scale).numpy()
    edge = 3 * factor if larger else 3
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs)[edge:-edge, edge:-edge].max() < 1e-5
