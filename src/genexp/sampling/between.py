"""What a network reads between two texts."""

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.contracts.preparing import Encodes
from genexp.networks.tokens import Tokens


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
