"""Ramps are pure functions of images seen with the stated end points."""

import math
from itertools import pairwise

import pytest

from genexp.ramps import Constant, Cosine, Cyclical, Linear


def test_constant_never_changes():
    assert {Constant(0.3)(images) for images in (0, 7, 10**9)} == {0.3}
    assert Constant()(5) == 1.0


def test_linear_joins_its_ends_and_stays():
    ramp = Linear(start=2.0, end=-2.0, images=100)
    assert [ramp(images) for images in (0, 25, 50, 100, 1000)] == [2.0, 1.0, 0.0, -2.0, -2.0]


def test_cosine_warms_up_then_falls_to_its_floor():
    ramp = Cosine(images=1100, warmup=100, floor=0.2)
    assert [ramp(images) for images in (0, 50, 100)] == pytest.approx([0.0, 0.5, 1.0])
    assert ramp(600) == pytest.approx(0.6)
    assert ramp(350) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert ramp(1100) == ramp(10**6) == pytest.approx(0.2)
    values = [ramp(images) for images in range(100, 1101, 10)]
    assert all(after < before for before, after in pairwise(values))


def test_cosine_without_warm_up_starts_at_one():
    assert Cosine(images=10)(0) == 1.0


def test_cyclical_rises_holds_and_starts_again():
    ramp = Cyclical(start=0.0, end=4.0, images=100, rise=0.5)
    assert [ramp(images) for images in (0, 25, 50, 99, 100, 125)] == [0.0, 2.0, 4.0, 4.0, 0.0, 2.0]
    assert all(ramp(images) == ramp(images + 300) for images in range(0, 100, 7))


@pytest.mark.parametrize("images", [0, -5])
def test_lengths_must_be_positive(images):
    for build in (lambda: Linear(0.0, 1.0, images), lambda: Cosine(images), lambda: Cyclical(0.0, 1.0, images)):
        with pytest.raises(ValueError, match=f"images must be a positive number of images, got {images}"):
            build()


def test_warm_up_must_end_before_the_ramp():
    with pytest.raises(ValueError, match="warmup must be at least 0 images, got -1"):
        Cosine(images=10, warmup=-1)


@pytest.mark.parametrize("rise", [0.0, 1.5])
def test_rise_must_be_a_share(rise):
    with pytest.raises(ValueError, match=rf"rise must lie in \(0, 1\], got {rise}"):
        Cyclical(0.0, 1.0, 10, rise)
