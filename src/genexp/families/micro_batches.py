"""Batches cut into parts, so that a step needs the memory of one part only."""

import torch

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
    size = batch_size(batch)
    chunks = {name: value.chunk(parts) for name, value in batch.items()}
    count = len(next(iter(chunks.values())))
    cut = [{name: pieces[i] for name, pieces in chunks.items()} for i in range(count)]
    return [(part, batch_size(part) / size) for part in cut]
