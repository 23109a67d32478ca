import math
from statistics import fmean, stdev

import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from genexp.evaluation.metrics import kernel
from genexp.evaluation.metrics.kernel import KernelDistance, kernel_distance, sums_across, sums_within
from genexp.evaluation.summaries import FeatureStore


def normal(*shape, seed=0, mean=0.0, std=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * std + mean


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def value(metric, generated, real):
    return metric.compute(store(generated), metric.prepare(store(real), None))["kid"]


def by_hand(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b)) / len(a) + 1) ** 3

    x, y = x.double().tolist(), y.double().tolist()
    same = fmean(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j)
    same += fmean(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j)
    return same - 2 * fmean(k(a, b) for a in x for b in y)


def test_it_is_the_mean_over_all_pairs_of_different_images(monkeypatch):
    x, y = normal(23, 4), normal(17, 4, seed=1, mean=1)
    expected = by_hand(x, y)
    assert value(KernelDistance(), x, y).value == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(kernel, "_BLOCK", 5)
    assert value(KernelDistance(), x, y).value == pytest.approx(expected, rel=1e-12)


def test_sums_by_group_add_up():
    x, y = normal(30, 4), normal(12, 4, seed=1)
    group = torch.arange(30) % 4
    assert float(sums_within(x, group, 4).sum()) == pytest.approx(float(sums_within(x)), rel=1e-12)
    assert float(sums_across(x, y, group, 4).sum()) == pytest.approx(float(sums_across(x, y)), rel=1e-12)


def test_in_one_dimension_the_expectation_is_a_sum_over_moments():
    """MMD^2 of the kernel is the sum of 3, 3 and 1 times the squared gaps of the first three moments."""
    mean, std = 0.5, 1.5
    gaps = [mean, mean**2 + std**2 - 1, mean**3 + 3 * mean * std**2]
    expected = 3 * gaps[0] ** 2 + 3 * gaps[1] ** 2 + gaps[2] ** 2
    found = value(KernelDistance(), normal(8000, 1, mean=mean, std=std), normal(8000, 1, seed=1))
    error = stdev(found.draws) / math.sqrt(20)
    assert abs(found.value - expected) < 5 * error
    assert error < 0.1 * expected


def test_it_is_unbiased_and_its_standard_error_is_right():
    real = normal(4000, 8, seed=100)
    metric = KernelDistance()
    prepared = metric.prepare(store(real), None)
    found = [metric.compute(store(normal(100, 8, seed=seed, mean=0.3)), prepared)["kid"] for seed in range(60)]
    large = metric.compute(store(normal(8000, 8, seed=99, mean=0.3)), prepared)["kid"].value
    spread = stdev(one.value for one in found)
    assert abs(fmean(one.value for one in found) - large) < 4 * spread / math.sqrt(60)
    assert fmean(stdev(one.draws) / math.sqrt(20) for one in found) == pytest.approx(spread, rel=0.25)


def test_two_samples_of_one_law_may_be_below_zero():
    pairs = [(normal(50, 8, seed=seed), normal(50, 8, seed=seed + 50)) for seed in range(9)]
    values = [value(KernelDistance(), *pair).value for pair in pairs]
    assert min(values) < 0 < max(values)


def test_large_features_lose_no_precision():
    x, y = normal(40, 3, mean=30), normal(40, 3, seed=1, mean=30)
    assert value(KernelDistance(), x, y).value == pytest.approx(by_hand(x, y), rel=1e-7)


def test_a_subset_of_everything_is_the_complete_statistic():
    x, y = normal(30, 4), normal(30, 4, seed=1, mean=1)
    found = value(KernelDistance(subsets=3, subset_size=30), x, y)
    assert found.value == pytest.approx(value(KernelDistance(), x, y).value, rel=1e-12)
    assert found.details["subset_std"] == pytest.approx(0, abs=1e-12)
    assert found.draws == ()


def test_subsets_are_drawn_by_their_own_seed():
    x, y = normal(60, 4), normal(60, 4, seed=1, mean=1)
    torch.manual_seed(0)
    first = value(KernelDistance(5, 20), x, y)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert value(KernelDistance(5, 20), x, y) == first
    assert torch.equal(torch.rand(1), expected)
    assert value(KernelDistance(5, 20, seed=1), x, y) != first
    assert first.details["subset_std"] > 0


def test_parity_with_torchmetrics_on_the_same_features():
    x, y = normal(50, 16), normal(50, 16, seed=1, mean=0.5)
    theirs = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=50)
    theirs.update(y, real=True)
    theirs.update(x, real=False)
    assert value(KernelDistance(), x, y).value == pytest.approx(float(theirs.compute()[0]), rel=1e-4)
    assert kernel_distance(x, y) == pytest.approx(float(theirs.compute()[0]), rel=1e-4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="subsets and subset_size must be given together, got 10 and None"):
        KernelDistance(subsets=10)
    with pytest.raises(ValueError, match="subsets must be at least 1, got 0"):
        KernelDistance(0, 10)
    with pytest.raises(ValueError, match="subset_size must be at least 2, got 1"):
        KernelDistance(1, 1)
    with pytest.raises(ValueError, match="needs at least 2 real images, got 1"):
        KernelDistance().prepare(store(normal(1, 4)), None)
    with pytest.raises(ValueError, match="needs at least 100 generated images, got 50"):
        value(KernelDistance(1, 100), normal(50, 4), normal(100, 4))
