"""Drawing samples: sample `i` is one image, whoever draws it and in whatever batch."""

from collections.abc import Iterator, Sequence

import torch

from genexp.contracts import Batch, Progress, Sampler
from genexp.sampling.conditions import Conditions
from genexp.tensors import IndexedNoise


def shares(num: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[range]:
    """The batches of sample indices that one process draws of samples 0 to `num` - 1.

    Whole batches go round the processes, so that every batch, and with it the rounding in a network, is the same for
    any number of processes.
    """
    for begin in range(rank * batch_size, num, world_size * batch_size):
        yield range(begin, min(begin + batch_size, num))


@torch.no_grad()
def draw(
    model: object,
    sampler: Sampler,
    indices: Sequence[int],
    seed: int,
    conditions: Conditions | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Batch:
    """The samples `indices`: `image` (B, C, H, W) in [-1, 1], `index` (B,), and what each was drawn under.

    Args:
        model: What the sampler draws from.
        sampler: How it draws.
        indices: Indices of the samples.
        seed: Seed of the whole set.
        conditions: What the samples of a conditional model are drawn under, or None.
        device: Where the model is.
        progress: Told of every step.
    """
    noise = IndexedNoise(seed, indices, device)
    given = {} if conditions is None else conditions.of(indices)
    given = {name: value.to(device) for name, value in given.items()}
    image = sampler.run(model, sampler.start(model, noise), noise, given.get("label"), progress)
    return {"image": image, "index": torch.tensor(list(indices), dtype=torch.int64), **given}
