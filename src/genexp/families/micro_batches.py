"""Batches cut into parts, so that a step needs the memory of one part only."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genexp.contracts import Batch


def batch_size(batch: Batch) -> int:
    """Number of samples in a batch."""
    return len(next(iter(batch.values())))


def in_memory_order(batch: Batch, channels_last: bool) -> Batch:
    """A batch as it is, or with its images in channels-last memory order."""
    if not channels_last:
        return batch
    return {k: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for k, v in batch.items()}


def split(batch: Batch, parts: int) -> list[tuple[Batch, float]]:
    """Split a batch into at most `parts` micro-batches, each with its share of the samples."""
    if parts == 1:
        return [(batch, 1.0)]
    size = batch_size(batch)
    chunks = {name: value.chunk(parts) for name, value in batch.items()}
    count = len(next(iter(chunks.values())))
    cut = [{name: pieces[i] for name, pieces in chunks.items()} for i in range(count)]
    return [(part, batch_size(part) / size) for part in cut]


def averaged(
    loss: Callable[[Batch], dict[str, Tensor]],
    parts: Sequence[tuple[Batch, float]],
    backward: Callable[[Tensor], None],
) -> dict[str, Tensor]:
    """The gradient of the mean of `loss(part)["loss"]` over micro-batches, by `backward`, and the means of all terms.

    Args:
        loss: Named scalars of a micro-batch.
        parts: Micro-batches, each with its share of the samples.
        backward: Adds the gradient of a scalar to that of the parameters.
    """
    means: dict[str, Tensor] = {}
    for part, share in parts:
        terms = loss(part)
        backward(terms["loss"] if share == 1 else terms["loss"] * share)
        for key, value in terms.items():
            shared = value.detach().clone() if share == 1 else value.detach() * share
            means[key] = means[key] + shared if key in means else shared
    return means
