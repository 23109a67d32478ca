"""A texture quilted of square patches of a sample, which are cut where they overlap so that they differ least."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from genexp.textures.growing import require_within
from genexp.textures.seams import beyond


@dataclass(frozen=True)
class Quilting:
    """Image quilting: texture synthesis, and with a content picture texture transfer.

    Patches are laid in rows. Each is drawn at random from those of the sample whose squared difference from what is
    there already, over the overlaps, is at most 1 + `tolerance` times the least; then it is cut along the paths of
    least difference through its overlaps. With a content, the difference also counts that of the luminance of patch and
    content: weight `alpha` on the overlaps, 1 - `alpha` on the content.

    Reference: Efros and Freeman, "Image Quilting for Texture Synthesis and Transfer" (2001); overlaps of a sixth of a
    patch and the tolerance of 0.1 are the paper's. Of its transfer in several passes this does one.

    Args:
        patch: Pixels a side of a patch, at least 3.
        overlap: Pixels that neighbours share, from 1 to patch - 1; null for a sixth of a patch.
        tolerance: How much worse than the best a chosen patch may be, as a share of the best, at least 0.
        alpha: Share of the overlaps in the choice of a patch where there is a content, in [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    patch: int = 24
    overlap: int | None = None
    tolerance: float = 0.1
    alpha: float = 0.2

    def __post_init__(self) -> None:
        if self.patch < 3:
            raise ValueError(f"patch must be at least 3, got {self.patch}")
        if not 1 <= self.shared < self.patch:
            raise ValueError(f"overlap must lie in [1, patch - 1 = {self.patch - 1}], got {self.overlap}")
        if self.tolerance < 0:
            raise ValueError(f"tolerance must be at least 0, got {self.tolerance}")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {self.alpha}")

    @property
    def shared(self) -> int:
        """Pixels that neighbours share."""
        return max(1, self.patch // 6) if self.overlap is None else self.overlap

    def __call__(
        self,
        sample: Tensor,
        height: int,
        width: int,
        seed: int = 0,
        content: Tensor | None = None,
        told: Callable[[int], None] | None = None,
    ) -> Tensor:
        """A texture (C, `height`, `width`) of patches of `sample` (C, h, w).

        Args:
            sample: The sample, sides at least `patch`.
            height: Rows of the texture.
            width: Columns of the texture.
            seed: Seed of every draw.
            content: Picture (C, `height`, `width`) whose light the texture takes on, or None.
            told: Called with a number of patches as they are laid.

        Raises:
            ValueError: the sample is smaller than a patch, or the content has another size.
        """
        require_within("patch", self.patch, sample)
        if content is not None and tuple(content.shape[-2:]) != (height, width):
            raise ValueError(f"content must be of {width} x {height} pixels, got {tuple(content.shape[:0:-1])}")
        generator = torch.Generator().manual_seed(seed)
        step = self.patch - self.shared
        down, across = self.grid(height, width)
        quilt = torch.zeros(len(sample), (down - 1) * step + self.patch, (across - 1) * step + self.patch)
        light = None
        if content is not None:
            edges = (0, quilt.shape[2] - width, 0, quilt.shape[1] - height)
            light = functional.pad(content.float().mean(0)[None], edges, mode="replicate")[0]
        choice = _Choice(sample.float(), self)
        for number in range(down * across):
            top, left = number // across * step, number % across * step
            wanted = None if light is None else light[top : top + self.patch, left : left + self.patch]
            there = quilt[:, top : top + self.patch, left : left + self.patch]
            there.copy_(choice.laid(there, top > 0, left > 0, wanted, generator))
            if told is not None:
                told(1)
        return quilt[:, :height, :width].to(sample.dtype)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches down and across that cover a texture."""
        step = self.patch - self.shared
        return 1 + max(0, -((self.patch - height) // step)), 1 + max(0, -((self.patch - width) // step))


class _Choice:
    """Chooses patches of a sample and cuts them to what is there."""

    def __init__(self, sample: Tensor, settings: Quilting) -> None:
        self.sample, self.settings = sample, settings
        self.squares = sample.square().sum(0)[None, None]
        self.light = sample.mean(0)[None, None]

    def laid(
        self, there: Tensor, above: bool, before: bool, wanted: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """A patch (C, P, P) of the sample, cut to what is `there` above and to its left, towards the light `wanted`."""
        overlap, side = self.settings.shared, self.settings.patch
        known = torch.zeros(side, side)
        known[:overlap] += above
        known[:, :overlap] += before
        known = known.clamp(max=1)
        distance = self._differences(there, known)
        if wanted is not None:
            ones = torch.ones(1, 1, side, side)
            fit = functional.conv2d(self.light.square(), ones) - 2 * functional.conv2d(self.light, wanted[None, None])
            apart = fit[0, 0] + wanted.square().sum()
            distance = self.settings.alpha * distance + (1 - self.settings.alpha) * apart
        distance = distance.clamp(min=0)
        fits = (distance <= distance.min() * (1 + self.settings.tolerance) + 1e-6).nonzero()
        top, left = fits[int(torch.randint(len(fits), (), generator=generator))].tolist()
        patch = self.sample[:, top : top + side, left : left + side]
        return torch.where(self._cut(there, patch, above, before), patch, there)

    def _differences(self, there: Tensor, known: Tensor) -> Tensor:
        """Squared differences (h - P + 1, w - P + 1) of every patch of the sample from what is there and known."""
        cross = functional.conv2d(self.sample[None], (there * known)[None])
        own = (there.square() * known).sum()
        return (functional.conv2d(self.squares, known[None, None]) - 2 * cross + own)[0, 0]

    def _cut(self, there: Tensor, patch: Tensor, above: bool, before: bool) -> Tensor:
        overlap, new = self.settings.shared, torch.ones(patch.shape[-2:], dtype=torch.bool)
        apart = (there - patch).square().sum(0)
        if before:
            new[:, :overlap] &= beyond(apart[:, :overlap])
        if above:
            new[:overlap] &= beyond(apart[:overlap].T).T
        return new
