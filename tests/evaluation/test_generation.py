import pytest
import torch

from genexp.evaluation.generation import draw, labels_of, shares


class Echo:
    """Images that are their own noise, marked with their label."""

    def start(self, model, noise):
        return noise.normal(1, 4, 4)

    def run(self, model, start, noise, label=None, progress=None):
        return start if label is None else torch.full_like(start, 1.0) * label.reshape(-1, 1, 1, 1)


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


def test_labels_follow_the_counts_and_depend_on_the_index_alone():
    counts = [50, 0, 30, 20]
    labels = labels_of(range(1000), counts)
    assert torch.bincount(labels, minlength=4).tolist() == pytest.approx([500, 0, 300, 200], abs=3)
    assert torch.equal(labels_of([17, 999, 3], counts), labels[[17, 999, 3]])
    early = torch.bincount(labels[:100], minlength=4).tolist()
    assert early == pytest.approx([50, 0, 30, 20], abs=3)


def test_a_conditional_model_receives_its_labels():
    batch = draw(None, Echo(), range(3, 9), seed=0, counts=[0, 0, 5])
    assert (batch["image"] == 2).all()
    assert batch["label"].tolist() == [2] * 6
    assert batch["index"].tolist() == [3, 4, 5, 6, 7, 8]


def test_a_reference_without_labels_is_refused():
    with pytest.raises(ValueError, match="counts must hold at least one labelled image"):
        labels_of(range(3), [0, 0])
