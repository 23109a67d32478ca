import pytest
import torch

from genexp.evaluation.moments import Moments


def features(count=500, dimensions=7, mean=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing + mean


def moments(*parts):
    summary = Moments(parts[0].shape[1])
    for part in parts:
        summary.update(part)
    return summary


def assert_same(one, other):
    assert one.count == other.count
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(one.covariance, other.covariance, rtol=1e-12, atol=1e-9)


def test_mean_and_covariance_are_those_of_all_vectors():
    x = features()
    summary = moments(*x.split(37))
    torch.testing.assert_close(summary.mean, x.mean(0), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(summary.covariance, torch.cov(x.mT), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 33, 499, 500])
def test_batch_size_does_not_matter(batch_size):
    x = features()
    assert_same(moments(*x.split(batch_size)), moments(x))


@pytest.mark.parametrize("dimensions", [1, 3, 257, 600])
def test_blocks_and_panels_sum_what_all_vectors_have(dimensions):
    x = features(2500, dimensions, mean=3.0)
    summary = moments(*x.split(250))
    torch.testing.assert_close(summary.mean, x.mean(0), rtol=1e-12, atol=1e-12)
    expected = torch.cov(x.mT).reshape(dimensions, dimensions)
    torch.testing.assert_close(summary.covariance, expected, rtol=1e-9, atol=1e-9)


def test_order_does_not_matter():
    x = features()
    shuffled = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(1))]
    assert_same(moments(*shuffled.split(50)), moments(x))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_shards_of_unequal_size_merge_to_the_whole_in_any_order(order):
    x = features()
    shards = [moments(part) for part in x.split([3, 250, 1, 246])]
    joined = Moments(7)
    for i in order:
        joined.merge(shards[i])
    assert_same(joined, moments(x))


def test_merging_nothing_changes_nothing():
    summary, before = moments(features()), moments(features())
    summary.merge(Moments(7))
    summary.update(torch.empty(0, 7))
    assert_same(summary, before)
    empty = Moments(7)
    empty.merge(before)
    assert_same(empty, before)


def test_a_mean_far_from_zero_costs_no_precision():
    x = features(mean=1e6)
    near, far = moments(*features().split(10)), moments(*x.split(10))
    torch.testing.assert_close(far.covariance, near.covariance, rtol=1e-8, atol=1e-8)


def test_float32_features_are_summed_in_float64():
    x = features(mean=10).float()
    torch.testing.assert_close(moments(*x.split(7)).covariance, torch.cov(x.double().mT), rtol=1e-12, atol=1e-12)


def test_state_restores_the_summary():
    summary = moments(features())
    assert_same(Moments.from_state(summary.state()), summary)


def test_bad_features_are_refused():
    summary = Moments(3)
    with pytest.raises(ValueError, match=r"features must have shape \(N, 3\), got \(3, 4\)"):
        summary.update(torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"features must have shape \(N, 3\), got \(3,\)"):
        summary.update(torch.zeros(3))
    bad = torch.zeros(5, 3)
    bad[1, 2], bad[4] = float("nan"), float("inf")
    with pytest.raises(ValueError, match="NaN or infinity in 2 of 5 images"):
        summary.update(bad)
    assert summary.count == 0


def test_too_few_vectors_have_no_covariance():
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        _ = moments(torch.zeros(1, 3)).covariance


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match="must have 3 dimensions, got 4"):
        Moments(3).merge(Moments(4))
    with pytest.raises(ValueError, match="dimensions must be at least 1, got 0"):
        Moments(0)
