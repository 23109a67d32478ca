"""A style as the set of its patches: a Markov random field, of which every neighbourhood must have been seen."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class PatchLoss:
    """Mean squared difference of every patch of feature maps from the style's patch that is most like it.

    Most like is by normalised cross-correlation, over all of the style's patches. The matrix of correlations is never
    whole: `chunk` by `chunk` values of it exist at a time, so that memory grows with the map and not with its square.

    Reference: Li and Wand, "Combining Markov Random Fields and Convolutional Neural Networks for Image Synthesis"
    (2016), without its rotated and scaled copies of the style.

    Args:
        size: Positions a side of a patch, at least 1.
        stride: Positions between neighbouring patches, of both pictures, at least 1.
        chunk: Patches of either picture that are compared at a time, at least 1.

    Raises:
        ValueError: an argument is below 1.
    """

    neighbours: ClassVar[bool] = True
    size: int = 3
    stride: int = 2
    chunk: int = 2048

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("stride", self.stride), ("chunk", self.chunk)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def describe(self, features: Tensor) -> Tensor:
        """The feature maps (B, C, H, W) themselves, of which the patches are cut where they are needed.

        Raises:
            ValueError: a map is smaller than a patch.
        """
        if min(features.shape[-2:]) < self.size:
            height, width = features.shape[-2:]
            raise ValueError(f"size must be at most the sides of the map, {height} x {width}, got {self.size}")
        return features.float()

    def __call__(self, features: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of the patches of `features` (B, C, H, W) from their likest ones of `target` (B, C, h, w)."""
        found = self._patches(self.describe(features))
        with torch.no_grad():
            known = self._patches(target)
            wanted = torch.stack([theirs[self.nearest(own, theirs)] for own, theirs in zip(found, known, strict=True)])
        return (found - wanted).square().flatten(1).mean(1)

    def nearest(self, found: Tensor, known: Tensor) -> Tensor:
        """For every row of `found` (N, D), the number of the row of `known` (M, D) that correlates most with it."""
        known = functional.normalize(known, dim=1)
        with torch.autocast(found.device.type, enabled=False):
            return torch.cat([self._nearest_of(rows, known) for rows in found.detach().split(self.chunk)])

    def _nearest_of(self, found: Tensor, known: Tensor) -> Tensor:
        best = found.new_full((len(found),), -torch.inf)
        where = torch.zeros(len(found), dtype=torch.long, device=found.device)
        for number, rows in enumerate(known.split(self.chunk)):
            value, row = (found @ rows.T).max(1)
            better = value > best
            best, where = torch.where(better, value, best), torch.where(better, row + number * self.chunk, where)
        return where

    def _patches(self, maps: Tensor) -> Tensor:
        return functional.unfold(maps, self.size, stride=self.stride).mT.contiguous()
