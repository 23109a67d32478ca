"""Detection of generated images: chance where there is nothing to tell, certainty where there is, and no peeking."""

import pytest
import torch
from scipy.stats import norm

from genexp.evaluation.metrics.detectability import LEAST, Detectability, Detector
from genexp.evaluation.radial_spectrum import RadialSpectrum
from genexp.evaluation.summaries import FeatureStore


def normal(count, shift=0.0, scale=1.0, seed=0, dimensions=4):
    values = scale * torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))
    values[:, 0] += shift
    return values


def value(real, generated):
    metric = Detectability()
    stores = []
    for features in (real, generated):
        store = FeatureStore(features.shape[1])
        store.update(features, torch.arange(len(features)))
        stores.append(store)
    return metric.compute(stores[1], metric.prepare(stores[0], RadialSpectrum([1, 8, 8])))["detectability"]


def test_a_shift_of_normal_features_is_told_as_well_as_can_be():
    detector = Detector(normal(4000, seed=1), normal(4000, 1.0, seed=2))
    assert detector.auroc(normal(4000, seed=3), normal(4000, 1.0, seed=4)) == pytest.approx(
        norm.cdf(1 / 2**0.5), abs=0.01
    )


def test_another_spread_is_told_too():
    detector = Detector(normal(2000, seed=1), normal(2000, scale=2.0, seed=2))
    assert detector.auroc(normal(2000, seed=3), normal(2000, scale=2.0, seed=4)) > 0.85


def test_equal_kinds_are_told_by_chance_and_others_for_certain():
    assert value(normal(1000, seed=1), normal(1000, seed=2)).value == pytest.approx(0.5, abs=0.05)
    assert value(normal(1000, seed=1), normal(1000, 6.0, seed=2)).value > 0.999


def test_what_was_learned_is_not_what_is_judged():
    many = value(normal(120, seed=1, dimensions=30), normal(120, seed=2, dimensions=30))
    assert abs(many.value - 0.5) < 0.15  # 495 weights fit 120 images exactly: judged on them it would be 1


def test_more_of_one_kind_moves_nothing():
    few = Detector(normal(3000, seed=1), normal(100, 2.0, seed=2))
    assert few(torch.zeros(1, 4)).item() < 0 < few(torch.tensor([[2.0, 0, 0, 0]])).item()


def test_a_spectrum_shows_a_checkerboard():
    spectrum, generator = RadialSpectrum([1, 16, 16]), torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(400, 1, 4, 4, generator=generator), 16, mode="bilinear")
    board = torch.ones(16, 16)
    board[::2, ::2] = board[1::2, 1::2] = -1
    real, made = spectrum(smooth[:200]), spectrum(smooth[200:] + 0.01 * board)
    assert value(real, made).value > 0.99


def test_too_few_images_are_told():
    with pytest.raises(ValueError, match=f"at least {LEAST} real images, got 3"):
        Detector(normal(3), normal(100))
    with pytest.raises(ValueError, match="at least 100 generated images, got 60"):
        value(normal(200), normal(60))
    with pytest.raises(ValueError, match="most must be at least"):
        Detectability(most=10)
