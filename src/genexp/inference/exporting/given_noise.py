"""The fresh noise of a sampler's steps as an input of a graph."""

import torch
from torch import Tensor


class CountedNoise:
    """Standard normal noise for `rows` samples that remembers what it gave, so that it can be given again."""

    def __init__(self, rows: int) -> None:
        self.rows, self.shapes, self.device = rows, [], torch.device("cpu")
        self._generator, self._drawn = torch.Generator().manual_seed(2), []

    def __len__(self) -> int:
        return self.rows

    def normal(self, *shape: int) -> Tensor:
        """Values (B, *shape)."""
        drawn = torch.randn(self.rows, *shape, generator=self._generator)
        self.shapes.append(shape)
        self._drawn.append(drawn)
        return drawn

    def all_drawn(self) -> Tensor:
        """What was given since `shapes` was cleared, (B, draws, *shape).

        Raises:
            ValueError: not all of it has one shape.
        """
        if len(set(self.shapes)) > 1:
            raise ValueError(f"sampler must draw noise of one shape in all steps, got {sorted(set(self.shapes))}")
        return torch.stack(self._drawn[-len(self.shapes) :], 1)


class GivenNoise:
    """The rows of an input (B, draws, *shape), one draw after the other."""

    def __init__(self, drawn: Tensor | None) -> None:
        self._drawn, self._next = drawn, 0

    def normal(self, *shape: int) -> Tensor:
        """The next values (B, *shape)."""
        self._next += 1
        return self._drawn[:, self._next - 1]
