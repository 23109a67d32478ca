"""A few samples of the same noise over the whole of training, side by side."""

import torch
from torch import Tensor

from genexp.files.trees import State
from genexp.tensors import Grid, to_float, to_uint8

COLUMNS = 12
"""Moments that a strip shows at most."""


class Evolution:
    """The first samples of every grid, as bytes, thinned so that the moments stay evenly spread.

    Args:
        rows: Samples that are kept of each grid.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._kept: dict[int, Tensor] = {}
        self._evaluations, self._stride = 0, 1

    def add(self, images_seen: int, samples: Tensor) -> Grid:
        """The strip up to now, with the samples (B, C, H, W) in [-1, 1] of this moment as the last column."""
        newest = to_uint8(samples[: self.rows].detach().cpu())
        shown = {seen: images for seen, images in self._kept.items() if seen < images_seen} | {images_seen: newest}
        if self._evaluations % self._stride == 0:
            self._kept = shown
        self._evaluations += 1
        if len(self._kept) >= COLUMNS:
            self._kept, self._stride = dict(list(self._kept.items())[::2]), 2 * self._stride
        images = torch.stack(list(shown.values()), dim=1)
        down = [f"sample {row}" for row in range(len(newest))]
        return Grid(to_float(images.flatten(0, 1)), len(shown), [f"{seen:,}" for seen in shown], down)

    def state_dict(self) -> State:
        """Everything that the next strip is made of."""
        return {"kept": self._kept, "evaluations": self._evaluations, "stride": self._stride}

    def load_state_dict(self, state: State) -> None:
        """Go on from a saved strip."""
        self._kept, self._evaluations, self._stride = dict(state["kept"]), state["evaluations"], state["stride"]
