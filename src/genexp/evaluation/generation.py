"""Drawing the images of an evaluation: sample `i` is one image, whoever draws it and in whatever batch."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from genexp.contracts import Batch, Sampler
from genexp.evaluation.dealing import BY_INDEX, group_numbers, groups_within, within_classes
from genexp.tensors import IndexedNoise

_GOLDEN = 0x9E3779B97F4A7C15


def shares(num: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[range]:
    """The batches of sample indices that one process draws of samples 0 to `num` - 1.

    Whole batches go round the processes, so that every batch, and with it the rounding in a network, is the same for
    any number of processes.
    """
    for begin in range(rank * batch_size, num, world_size * batch_size):
        yield range(begin, min(begin + batch_size, num))


def labels_of(indices: Sequence[int], counts: Sequence[int]) -> Tensor:
    """Labels (B,) of samples: fixed by the sample's index, and over many samples in proportion to `counts`.

    Index i falls on the point i * phi mod 1 of the cumulative shares, phi being the golden ratio: any run of indices
    covers the classes almost exactly in proportion.

    Args:
        indices: Indices of the samples.
        counts: How often every class occurs in the reference.

    Raises:
        ValueError: no class occurs.
    """
    total = sum(counts)
    if total <= 0:
        raise ValueError(f"counts must hold at least one labelled image, got {list(counts)}")
    edges = torch.tensor(list(accumulate(counts)), dtype=torch.float64) / total
    points = torch.tensor([(i * _GOLDEN + _GOLDEN // 2) % 2**64 / 2**64 for i in indices], dtype=torch.float64)
    return torch.searchsorted(edges, points, right=True)


def dealt(num: int, counts: Sequence[int] | None) -> Tensor:
    """The groups (`num`,) of samples 0 to `num` - 1 for the jackknife: within classes where samples have one.

    Args:
        num: Number of all samples.
        counts: Class counts of the reference for a conditional model, or None.
    """
    return group_numbers(torch.arange(num)) if counts is None else groups_within(labels_of(range(num), counts))


def dealing_of(counts: Sequence[int] | None) -> str:
    """How `dealt` deals samples, in a protocol."""
    return BY_INDEX if counts is None else within_classes(sum(count > 0 for count in counts))


@torch.no_grad()
def draw(
    model: object,
    sampler: Sampler,
    indices: Sequence[int],
    seed: int,
    counts: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Batch:
    """The samples `indices`: `image` (B, C, H, W) in [-1, 1], `index` (B,), and `label` (B,) for a conditional model.

    Args:
        model: What the sampler draws from.
        sampler: How it draws.
        indices: Indices of the samples.
        seed: Seed of the whole set.
        counts: Class counts of the reference for a conditional model, or None.
        device: Where the model is.
    """
    noise = IndexedNoise(seed, indices, device)
    label = None if counts is None else labels_of(indices, counts).to(device)
    batch: Batch = {"image": sampler.run(model, sampler.start(model, noise), noise, label)}
    batch["index"] = torch.tensor(list(indices), dtype=torch.int64)
    return batch if label is None else batch | {"label": label}
