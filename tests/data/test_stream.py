import itertools

import pytest
import torch

from genexp.data.source import Arrays
from genexp.data.stream import EvalLoader, Stream, TrainLoader, as_float


def _numbered(count):
    return Arrays(
        {"image": torch.arange(count).to(torch.uint8).reshape(-1, 1, 1, 1), "label": torch.arange(count)}, "n"
    )


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (10, 10), (7, 1), (3, 8), (1, 5)])
def test_every_index_once_an_epoch(size, batch_size):
    stream = Stream(size, batch_size, seed=3)
    order = torch.cat([stream.rows(b) for b in range(5 * size)])
    for epoch in order[: order.numel() // size * size].reshape(-1, size):
        assert sorted(epoch.tolist()) == list(range(size))


def test_epochs_are_shuffled_anew_and_by_seed():
    first, second = Stream(100, 100, seed=0).rows(0), Stream(100, 100, seed=0).rows(1)
    other = Stream(100, 100, seed=1).rows(0)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.arange(100))


def test_a_batch_does_not_depend_on_what_was_asked_before():
    straight = Stream(50, 12, seed=0)
    visited = [straight.rows(b) for b in range(20)]
    for b in (19, 3, 11):
        assert torch.equal(Stream(50, 12, seed=0).rows(b), visited[b])


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_the_same_batch(world_size):
    stream = Stream(50, 12, seed=0)
    for b in range(10):
        parts = [stream.rows(b, rank, world_size) for rank in range(world_size)]
        assert {len(part) for part in parts} == {12 // world_size}
        assert torch.equal(torch.stack(parts, 1).flatten(), stream.rows(b))


@pytest.mark.parametrize("workers", [0, 2])
def test_train_loader_follows_the_stream_from_the_start_it_is_given(workers):
    loader = TrainLoader(_numbered(10), Stream(10, 4, seed=0), start=lambda: 3, workers=workers)
    assert not hasattr(loader, "__len__")
    for b, batch in enumerate(itertools.islice(loader, 6), start=3):
        assert torch.equal(batch["index"], Stream(10, 4, seed=0).rows(b))
        assert torch.equal(batch["label"], batch["index"])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2, 3, 12])
def test_eval_loader_shows_every_image_once_over_all_ranks(world_size, workers):
    if workers and world_size > 2:
        pytest.skip("one multi-process case is enough")
    seen = []
    for rank in range(world_size):
        loader = EvalLoader(_numbered(10), 4, rank, world_size, workers=workers)
        batches = list(loader)
        assert len(batches) == len(loader)
        seen += [i for batch in batches for i in batch["index"].tolist()]
        assert all(batch["image"].dtype == torch.float32 for batch in batches)
    idle = [0, 1] if world_size == 12 else []  # ranks without an image of their own look at one of another's
    assert sorted(seen) == sorted([*range(10), *idle])


def test_labels_can_be_left_out():
    batch = next(iter(EvalLoader(_numbered(3), 2, labelled=False)))
    assert set(batch) == {"image", "index"}


def test_an_empty_stream_is_refused():
    with pytest.raises(ValueError, match="at least 1 example, got 0"):
        Stream(0, 4, seed=0)


def test_as_float_spans_minus_one_to_one_and_leaves_points_alone():
    batch = as_float({"image": torch.tensor([0, 255], dtype=torch.uint8), "points": torch.tensor([5.0])})
    assert batch["image"].tolist() == [-1.0, 1.0]
    assert batch["points"].tolist() == [5.0]
