import pytest
import torch

from genexp.conditioning.base import UNCONDITIONAL
from genexp.sampling.conditions import ClassShares, Given, labels_in_shares
from genexp.sampling.draw import draw, shares


class Echo:
    """Images that are their own noise, marked with their label."""

    def start(self, model, noise):
        return noise.normal(1, 4, 4)

    def run(self, model, start, noise, condition=UNCONDITIONAL, progress=None):
        return torch.full_like(start, 1.0) * condition["label"].reshape(-1, 1, 1, 1) if condition else start


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_processes_share_all_samples_in_batches_that_do_not_depend_on_their_number(world_size):
    batches = [batch for rank in range(world_size) for batch in shares(103, 10, rank, world_size)]
    assert sorted(batches, key=lambda batch: batch.start) == list(shares(103, 10))
    assert sorted(i for batch in batches for i in batch) == list(range(103))


def test_a_sample_is_the_same_in_any_batch():
    whole = draw(None, Echo(), range(12), seed=3)["image"]
    parts = torch.cat([draw(None, Echo(), batch, seed=3)["image"] for batch in shares(12, 5)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, draw(None, Echo(), range(12), seed=4)["image"])


@pytest.mark.parametrize("counts", [[50, 0, 30, 20], [1], [118, 122, 120, 119, 121], [1, 1000, 0, 7]])
def test_labels_follow_the_counts_and_depend_on_the_index_alone(counts):
    labels = labels_in_shares(range(2000), counts)
    for num in (100, 777, 2000):
        found = torch.bincount(labels[:num], minlength=len(counts)).tolist()
        assert found == pytest.approx([num * count / sum(counts) for count in counts], abs=len(counts))
    assert torch.equal(labels_in_shares([17, 1999, 3], counts), labels[[17, 1999, 3]])


def test_classes_that_are_equally_frequent_come_in_turn_and_nearly_equal_ones_almost_always():
    assert labels_in_shares(range(25), [7] * 10).tolist() == [i % 10 for i in range(25)]
    assert labels_in_shares(range(5000), [1300] * 1000).tolist() == [i % 1000 for i in range(5000)]  # like ImageNet
    digits = labels_in_shares(range(1000), [119, 121, 117, 122, 120, 121, 119, 120, 118, 120])
    assert (digits == torch.arange(1000) % 10).float().mean() > 0.95


def test_a_round_of_few_indices_holds_its_classes_in_order():
    rounds = labels_in_shares(range(400), [3, 9, 1, 0, 7]).reshape(-1, 4)
    assert (rounds.diff() >= 0).all()


def test_a_conditional_model_receives_its_labels():
    for conditions in (ClassShares((0, 0, 5)), Given({"label": torch.tensor([2])})):
        batch = draw(None, Echo(), range(3, 9), seed=0, conditions=conditions)
        assert (batch["image"] == 2).all()
        assert batch["label"].tolist() == [2] * 6
        assert batch["index"].tolist() == [3, 4, 5, 6, 7, 8]


def test_data_without_labels_are_refused():
    with pytest.raises(ValueError, match="counts must hold at least one labelled image"):
        ClassShares((0, 0))
