import pytest
import torch
from scipy.stats import chi2

from genexp.evaluation.dealing import dealt, group_numbers, groups_within, hashed, members_of, random_parts
from genexp.sampling.conditions import labels_in_shares
from genexp.tensors import mix_seed


def splitmix64(index, mask=(1 << 64) - 1):
    state = ((index + 1 + (44569 << 32)) * 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return (state ^ (state >> 31)) >> 1


def test_the_hash_is_splitmix64_in_tensors():
    index = torch.tensor([0, 1, 2, 19, 20, 12345, 2**40 + 7])
    assert hashed(index).tolist() == [splitmix64(i) for i in index.tolist()]


def test_every_sample_is_in_one_group_that_its_index_alone_decides():
    index = torch.arange(1000)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(group_numbers(index[order]), group_numbers(index)[order])
    assert torch.equal(torch.cat([group_numbers(part) for part in index.split(7)]), group_numbers(index))
    assert torch.cat(list(members_of(group_numbers(index)))).sort().values.tolist() == list(range(1000))


def test_a_few_samples_reach_every_group():
    assert all(len(group_numbers(torch.arange(count)).unique()) == 20 for count in range(24, 200))


@pytest.mark.parametrize("arranged", ["in turn", "one after the other", "by the number of groups"])
def test_classes_and_groups_are_independent_however_the_images_are_arranged(arranged):
    """Pearson's statistic of the table of classes and groups behaves as for independent ones."""
    count, classes = 10_000, 20 if arranged == "by the number of groups" else 10
    label = (
        torch.arange(count) * classes // count if arranged == "one after the other" else torch.arange(count) % classes
    )
    table = torch.zeros(classes, 20).index_put(
        (label, group_numbers(torch.arange(count))), torch.ones(1), accumulate=True
    )
    expected = table.sum(1, keepdim=True) * table.sum(0) / count
    statistic = float(((table - expected) ** 2 / expected).sum())
    assert 0.001 < chi2.sf(statistic, (classes - 1) * 19) < 0.999


def test_groups_do_not_follow_the_noise_or_the_labels_of_a_sample():
    index = torch.arange(20_000)
    for other in (
        [mix_seed(0, i) % 20 for i in range(20_000)],
        [int(i * 0.6180339887 % 1 * 20) for i in range(20_000)],
    ):
        table = (group_numbers(index) * 20 + torch.tensor(other)).bincount(minlength=400).double()
        assert 0.001 < chi2.sf(float(((table - 50) ** 2 / 50).sum()), 399) < 0.9999


def test_random_parts_are_equal_and_fixed_by_the_indices():
    parts = random_parts(torch.arange(103), 10)
    assert sorted(parts.bincount().tolist()) == [10] * 7 + [11] * 3
    order = torch.randperm(103, generator=torch.Generator().manual_seed(0))
    assert torch.equal(random_parts(order, 10), parts[order])


LABELS = {
    "in turn": torch.arange(1003) % 10,
    "one after the other": torch.arange(1003) * 10 // 1003,
    "as a conditional model draws": labels_in_shares(range(1003), [100, 1, 0, 7, 300, 20]),
    "few of many": torch.arange(45) % 30,
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
def test_every_group_has_the_classes_of_the_set_in_its_shares(label):
    group = groups_within(label)
    sizes = group.bincount(minlength=20)
    assert sizes.max() - sizes.min() <= 1
    for each in label.unique():
        of_class = group[label == each].bincount(minlength=20)
        assert of_class.max() - of_class.min() <= 1


def test_groups_within_classes_are_random_samples_of_each_class():
    """Kinds within a class that nobody names, in turn or sorted, and groups are independent."""
    label = torch.arange(20_000) % 10
    group = groups_within(label)
    for each in (0, 7):
        own = group[label == each]
        for kind in (torch.arange(2000) % 20, torch.arange(2000) // 100):
            table = (own * 20 + kind).bincount(minlength=400).double()
            assert 0.001 < chi2.sf(float(((table - 5) ** 2 / 5).sum()), 19 * 19) < 0.999
    assert not torch.equal(group[label == 0], group[label == 7])


def test_samples_are_dealt_within_their_classes_where_they_have_some():
    label = labels_in_shares(range(500), [100, 1, 0, 7, 300, 20])
    for given, group, how in (
        (None, group_numbers(torch.arange(500)), "by index"),
        (label, groups_within(label), "within 5 classes"),
    ):
        found, told = dealt(500, given)
        assert torch.equal(found, group)
        assert told == how
