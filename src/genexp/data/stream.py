"""The order in which training examples are seen: an endless stream fixed by (seed, position)."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genexp.contracts import Batch
from genexp.data.source import Examples
from genexp.tensors import mix_seed, to_float


class Stream:
    """Consecutive random permutations of `size` examples, cut into batches.

    Batch b holds stream positions [b B, (b + 1) B), and rank r of w takes every w-th of them from r on. So the data
    are the same for every number of ranks, no epoch loses its tail, and a batch may be larger than the dataset.

    Args:
        size: Number of examples.
        batch_size: Examples a batch, over all ranks.
        seed: Seed of the permutations; epoch e uses (seed, e).
        buffer: Examples among which the order is random, for what is read best in its own order: the groups of an
            epoch come in a random order, each from its first example on, and every `buffer` examples of that sequence
            are shuffled. None for an order in which every place is as likely for every example.
        groups: Sizes of the groups (shards) of the examples in order; none for one group of all.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int, buffer: int | None = None, groups: Sequence[int] = ()
    ) -> None:
        if size < 1:
            raise ValueError(f"a training stream needs at least 1 example, got {size}")
        self.size, self.batch_size, self.seed, self.buffer = size, batch_size, seed, buffer
        ends = torch.tensor([0, *(groups or [size])]).cumsum(0).clamp(max=size)
        self._begins, self._counts = ends[:-1], ends.diff()
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def rows(self, batch: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """Dataset rows (batch_size / world_size,) of one rank in batch number `batch`."""
        position, end = batch * self.batch_size, (batch + 1) * self.batch_size
        pieces = []
        while position < end:
            epoch, offset = divmod(position, self.size)
            piece = self.permutation(epoch)[offset : offset + end - position]
            pieces.append(piece)
            position += len(piece)
        return torch.cat(pieces)[rank::world_size]

    def permutation(self, epoch: int) -> Tensor:
        """The order (size,) of one epoch."""
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
            make = (lambda g: torch.randperm(self.size, generator=g)) if self.buffer is None else self._nearby
            self._epoch, self._order = epoch, make(generator)
        return self._order

    def _nearby(self, generator: torch.Generator) -> Tensor:
        """Groups in a random order, shuffled within windows of `buffer` examples."""
        chosen = torch.randperm(len(self._counts), generator=generator)
        counts = self._counts[chosen]
        shift = torch.repeat_interleave(self._begins[chosen] - (counts.cumsum(0) - counts), counts)
        place = torch.arange(self.size)
        window = (place // self.buffer).double() + torch.rand(self.size, generator=generator, dtype=torch.float64)
        return (place + shift)[window.argsort()]


class _Reader(Dataset):
    """Reads whole batches: the rows asked for, their `index`, and labels only where they are wanted."""

    def __init__(self, examples: Examples, labelled: bool) -> None:
        self.examples, self.labelled = examples, labelled

    def __getitem__(self, rows: Tensor) -> Batch:
        batch = {**self.examples.read(rows), "index": rows}
        if not self.labelled:
            batch.pop("label", None)
        return batch


class TrainLoader:
    """Endless batches of a stream, from the position that `start` gives when iteration begins.

    It has no length, and no state of its own: the caller knows how many batches were used.

    Args:
        examples: What is read.
        stream: The order.
        start: Gives the number of the first batch.
        rank: Which share of every batch this process takes.
        world_size: Number of shares.
        labelled: Whether batches carry `label`.
        workers: Processes that read ahead; 0 reads in this process.
    """

    def __init__(
        self,
        examples: Examples,
        stream: Stream,
        start: Callable[[], int],
        rank: int = 0,
        world_size: int = 1,
        labelled: bool = True,
        workers: int = 0,
    ) -> None:
        self.reader = _Reader(examples, labelled)
        self.stream, self.start, self.rank, self.world_size, self.workers = stream, start, rank, world_size, workers

    def _rows(self) -> Iterator[Tensor]:
        batch = self.start()
        while True:
            yield self.stream.rows(batch, self.rank, self.world_size)
            batch += 1

    def __iter__(self) -> Iterator[Batch]:
        if self.workers == 0:
            return (self.reader[rows] for rows in self._rows())
        return iter(DataLoader(self.reader, batch_size=None, sampler=_Once(self._rows()), num_workers=self.workers))


class EvalLoader:
    """One ordered pass over a split; rank r of w takes rows r, r + w, ... Images come as floats in [-1, 1].

    Every rank must take part in an evaluation: where a split has fewer examples than ranks, those left without one look
    at an example that another rank has too.

    Args:
        examples: What is read.
        batch_size: Examples a batch on each rank; the last batch may be smaller.
        rank: Which share this process takes.
        world_size: Number of shares.
        labelled: Whether batches carry `label`.
        workers: Processes that read ahead; 0 reads in this process.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        labelled: bool = True,
        workers: int = 0,
    ) -> None:
        self.reader = _Reader(examples, labelled)
        self.rows = torch.arange(rank % len(examples), len(examples), world_size).split(batch_size)
        self.workers = workers

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Batch]:
        if self.workers == 0:
            return (as_float(self.reader[rows]) for rows in self.rows)
        loader = DataLoader(self.reader, batch_size=None, sampler=self.rows, num_workers=self.workers)
        return (as_float(batch) for batch in loader)


class _Once:
    """Hands a ready iterator to a DataLoader, which asks its sampler for one."""

    def __init__(self, rows: Iterator[Tensor]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Tensor]:
        return self.rows


def as_float(batch: Batch) -> Batch:
    """Every uint8 image of a batch as floats in [-1, 1]; other tensors as they are."""
    return {name: to_float(value) if value.dtype == torch.uint8 else value for name, value in batch.items()}
