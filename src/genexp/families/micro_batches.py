"""Batches cut into parts, so that a step needs the memory of one part only."""

from genexp.contracts import Batch


def batch_size(batch: Batch) -> int:
    """Number of samples in a batch."""
    return len(next(iter(batch.values())))


def split(batch: Batch, parts: int) -> list[tuple[Batch, float]]:
    """Split a batch into at most `parts` micro-batches, each with its share of the samples."""
    size = batch_size(batch)
    chunks = {name: value.chunk(parts) for name, value in batch.items()}
    count = len(next(iter(chunks.values())))
    cut = [{name: pieces[i] for name, pieces in chunks.items()} for i in range(count)]
    return [(part, batch_size(part) / size) for part in cut]
