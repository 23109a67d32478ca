import pytest
import torch

from genexp.evaluation.dealing import group_numbers
from genexp.evaluation.grouped_moments import GroupedMoments
from genexp.evaluation.moments import Moments, joined
from genexp.evaluation.summaries import FeatureStore


def vectors(count=203, dimensions=7, seed=0):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)) * 3 + 10


def moments_of(rows):
    found = Moments(rows.shape[1])
    found.update(rows)
    return found


def same(ours, theirs):
    assert ours.count == theirs.count
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(ours.covariance, theirs.covariance, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("count", [203, 2000])
@pytest.mark.parametrize("dimensions", [7, 300])
def test_leaving_a_group_out_gives_the_moments_of_the_rest(count, dimensions):
    rows, index = vectors(count, dimensions), torch.arange(count)
    grouped = GroupedMoments(dimensions, groups=5)
    for batch, numbers in zip(rows.split(64), index.split(64), strict=True):
        grouped.update(batch, numbers)
    same(grouped.total, moments_of(rows))
    for number, rest in enumerate(grouped.without_each()):
        same(rest, moments_of(rows[group_numbers(index, 5) != number]))
    assert grouped.sizes == group_numbers(index, 5).bincount(minlength=5).tolist()


def test_few_vectors_are_kept_as_a_factor_of_their_covariance():
    rows = vectors(20, 50)
    few = moments_of(rows)
    assert few.factor.shape == (50, 20)
    torch.testing.assert_close(few.factor @ few.factor.mT, rows.double().mT.cov(), rtol=1e-10, atol=1e-12)
    few.update(vectors(40, 50, seed=1))
    assert few.factor is None
    same(few, moments_of(torch.cat([rows, vectors(40, 50, seed=1)])))


def test_order_of_samples_and_of_processes_changes_nothing():
    rows, index = vectors(), torch.arange(203)
    shuffle = torch.randperm(203, generator=torch.Generator().manual_seed(1))
    straight, shuffled = GroupedMoments(7), GroupedMoments(7)
    straight.update(rows, index)
    parts = [GroupedMoments(7), GroupedMoments(7)]
    for part, order in zip(parts, shuffle.split(101), strict=False):
        part.update(rows[order], index[order])
    rest = shuffle[202:]
    parts[1].update(rows[rest], index[rest])
    for part in reversed(parts):
        shuffled.merge(GroupedMoments.from_state(part.state()))
    same(straight.total, shuffled.total)
    for ours, theirs in zip(straight.groups, shuffled.groups, strict=True):
        same(ours, theirs)


def test_a_reference_is_kept_as_a_single_group():
    grouped = GroupedMoments(7)
    grouped.update(vectors(), torch.arange(203))
    single = grouped.condensed()
    assert len(single.groups) == 1
    same(single.total, grouped.total)


def test_a_store_returns_vectors_indices_and_classes_in_the_order_of_the_samples():
    rows, index, label = vectors(), torch.arange(203), torch.arange(203) % 4
    shuffle = torch.randperm(203, generator=torch.Generator().manual_seed(1))
    store, other = FeatureStore(7), FeatureStore(7)
    store.update(rows[shuffle[:50]], index[shuffle[:50]], label[shuffle[:50]])
    other.update(rows[shuffle[50:]], index[shuffle[50:]], label[shuffle[50:]])
    store.merge(FeatureStore.from_state(other.state()))
    assert torch.equal(store.features, rows)
    assert torch.equal(store.index, index)
    assert torch.equal(store.label, label)
    unlabelled = FeatureStore(7)
    unlabelled.update(rows, index)
    assert (unlabelled.label == -1).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="leaving groups out needs at least 2 groups, got 1"):
        list(GroupedMoments(7, groups=1).without_each())
    with pytest.raises(ValueError, match="merged moments must have 20 groups, got 3"):
        GroupedMoments(7).merge(GroupedMoments(7, groups=3))
    with pytest.raises(ValueError, match="merged features must have 7 dimensions, got 8"):
        FeatureStore(7).merge(FeatureStore(8))
    with pytest.raises(ValueError, match=r"features must have shape \(N, 7\), got \(3, 8\)"):
        FeatureStore(7).update(torch.zeros(3, 8), torch.arange(3))
    with pytest.raises(ValueError, match="parts must hold at least one summary, got none"):
        joined([])
    with pytest.raises(ValueError, match="a part must leave at least 1 of 203 images, got 203"):
        moments_of(vectors()).without(moments_of(vectors()))
