"""Means of named terms over the held-out images of all processes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy


class HeldOutMeans:
    """Sums of named terms weighted by the images behind them, joined over the processes when they are read.

    Sums are float64 on the host, so that the means do not depend on how the images were cut into batches.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, terms: dict[str, Tensor], count: int) -> None:
        """Add one batch: scalars averaged over its `count` images."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach().double().cpu() * count
        self._count += count

    def flush(self, strategy: "Strategy", device: torch.device) -> dict[str, float]:
        """Means over the images of all ranks since the last flush; forgets them. Every rank must call this.

        Args:
            strategy: Lightning's strategy, which reaches the other ranks.
            device: Where values are exchanged.
        """
        names = strategy.broadcast(list(self._sums))  # a rank may have had no images at all
        if not names:
            return {}
        zero = torch.zeros((), dtype=torch.float64)
        sums = [self._sums.get(name, zero) for name in names] + [zero + self._count]
        sums = strategy.reduce(torch.stack(sums).to(device), reduce_op="sum").cpu()
        self._sums, self._count = {}, 0
        return {name: float(total / sums[-1]) for name, total in zip(names, sums[:-1], strict=True)}
