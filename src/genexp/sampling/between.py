"""What a network reads between two texts."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.contracts.preparing import Encodes
from genexp.networks.tokens import Tokens
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.guidance import Guidance


@runtime_checkable
class _AsksOthers(Protocol):
    """A guidance by other networks, which read what a sample is told by encoders of their own."""

    @property
    def others(self) -> tuple[object, ...]: ...


@runtime_checkable
class _Around(Protocol):
    """A guidance that makes use of another."""

    inside: Guidance


def tells_it_alone(sampler: object) -> bool:
    """Whether a sampler asks the model alone, so that what lies between two texts is told to all that is asked."""
    return not asked_beside(sampler)


def asked_beside(sampler: object) -> list[object]:
    """What a sampler asks beside the model, of all guidances within each other: guides, refiners, judges."""
    found: list[object] = []
    part: object = sampler.guidance if isinstance(sampler, DiffusionSampler) else None
    while part is not None:
        found += part.others if isinstance(part, _AsksOthers) else ()
        part = part.inside if isinstance(part, _Around) else None
    return found


class Between:
    """An encoder that reads, of samples told a first text, tokens on the straight line to those of a second.

    Where a token is there in one text alone, it counts unless the other has all the weight. So the ends are the texts
    themselves, to the last bit. What is told in the place of the first text, such as none by a guidance, is read as it
    is.

    Args:
        network: The encoder of single texts.
        name: Of the condition that the texts are.
        first: Texts (B, L) that the samples are told.
        second: Texts (B, L).
        weight: Of the second, (B,) in [0, 1].
    """

    def __init__(self, network: Encodes, name: str, first: Tensor, second: Tensor, weight: Tensor) -> None:
        self.network, self.name, self.first, self.second, self.weight = network, name, first, second, weight

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of the conditions that are read."""
        return self.network.attends

    def encode(self, condition: Condition) -> Tokens:
        """Tokens of a condition of the samples, or of several after each other, as guidance tells them."""
        texts = condition[self.name]
        turns = len(texts) // len(self.first)
        first, second = (each.repeat(turns, 1) for each in (self.first, self.second))
        moved = (texts == first).all(1)
        weight = torch.where(moved, self.weight.repeat(turns), 0.0)
        ends = (condition, {**condition, self.name: torch.where(moved[:, None], second, texts)})
        return between(*(self.network.encode(each) for each in ends), weight)


def between(one: Tokens, two: Tokens, weight: Tensor) -> Tokens:
    """Tokens on the line from `one` to `two`, which have as many places, with the weight (B,) of the second."""
    place = weight[:, None]
    counted = (one.counted & (place < 1)) | (two.counted & (place > 0))
    line = torch.lerp(one.rows, two.rows, place[:, :, None])
    single = torch.where(one.counted[:, :, None], one.rows, two.rows)
    rows = torch.where((one.counted & two.counted)[:, :, None], line, single)
    return Tokens(rows * counted[:, :, None], counted, torch.lerp(one.pooled, two.pooled, place))
