"""Drawing samples: sample `i` is one image, whoever draws it and in whatever batch."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch

from genexp.conditioning.base import Conditioning
from genexp.contracts import Batch, Progress, Sampler
from genexp.sampling.conditions import Conditions
from genexp.tensors import IndexedNoise
from genexp.terminal import counted


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
    image = sampler.run(model, sampler.start(model, noise), noise, given, progress)
    return {"image": image, "index": torch.tensor(list(indices), dtype=torch.int64), **given}


@runtime_checkable
class InSteps(Protocol):
    """A sampler that goes on in steps, so that it takes as long as they are many."""

    def evaluations_of(self, model: object) -> int:
        """How often it evaluates the network of a model for an image."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A sampler that may tell more than a model knows, for what guides it."""

    def conditioning_of(self, model: object) -> Conditioning:
        """What is told when a model is drawn from."""
        ...


def told_by(sampler: object, model: object, own: Conditioning) -> Conditioning:
    """What is told when a sampler draws from a model, whose own conditions are `own`."""
    return sampler.conditioning_of(model) if isinstance(sampler, Telling) else own


def network_evaluations(sampler: object, model: object) -> int | None:
    """How often an image's network is evaluated by a sampler that goes on in steps; None by any other.

    Args:
        sampler: The sampler; guidance may evaluate more than one network.
        model: What it draws from.
    """
    return sampler.evaluations_of(model) if isinstance(sampler, InSteps) else None


def to_draw(num: int, sampler: object, model: object) -> str:
    """What is about to be drawn: `1,000 images to draw, 50 network evaluations each`."""
    each = network_evaluations(sampler, model)
    return f"{counted(num, 'image')} to draw" + (f", {counted(each, 'network evaluation')} each" if each else "")


def in_images(advance: Callable[[float], None], count: int) -> Progress:
    """The steps of a batch of `count` images, told to `advance` as parts of its images."""
    return partial(_advance, advance, count)


def _advance(advance: Callable[[float], None], count: int, done: int, total: int) -> None:
    advance(count / total)
