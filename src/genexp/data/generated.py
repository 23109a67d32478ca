"""Random numbers of generated examples, fixed by the index of the example."""

from collections.abc import Callable

import torch
from torch import Tensor

from genexp.data.source import Split
from genexp.tensors import mix_seed

_NUMBERS: dict[Split, int] = {"train": 0, "val": 1, "test": 2}


def split_number(split: Split) -> int:
    """The number by which the generators of a split differ from those of the others."""
    return _NUMBERS[split]


def drawn_by_index(
    count: int, block: int, split: Split, draw: Callable[[torch.Generator], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Columns of `count` examples, drawn in blocks with one generator each.

    Example i is the same for every `count`, and the splits use different generators.

    Args:
        count: Number of examples.
        block: Number of examples that one call of `draw` yields.
        split: The split the examples belong to.
        draw: Draws named columns (block, ...) from a generator.

    Returns:
        Named columns (count, ...).

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"{split} must have at least 1 example, got {count}")
    generators = [torch.Generator().manual_seed(mix_seed(_NUMBERS[split], b)) for b in range(-(-count // block))]
    pieces = [draw(generator) for generator in generators]
    return {name: torch.cat([piece[name] for piece in pieces])[:count] for name in pieces[0]}
