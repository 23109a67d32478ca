"""A texture that grows pixel by pixel: each is copied from the sample, from where its neighbourhood looks alike."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

SEED_SIDE = 3


@dataclass(frozen=True)
class EfrosLeung:
    """Texture synthesis by non-parametric sampling: a Markov random field whose law is looked up in the sample.

    A seed of 3 x 3 pixels of the sample grows from the middle. The next pixel is the empty one with the most filled
    neighbours; its filled neighbourhood is compared with every whole window of the sample, by squared differences under
    a Gaussian window, and the pixel is the centre of one of those whose distance is at most 1 + `tolerance` times the
    least, drawn at random. Time grows with pixels of the result times pixels of the sample times window^2.

    Reference: Efros and Leung, "Texture Synthesis by Non-parametric Sampling" (1999); sigma = window / 6.4 and the
    tolerance of 0.1 are from the authors' notes on their algorithm. Their bound on the least distance, under which a
    pixel waits for more neighbours, is left out: here a pixel always takes the best that there is.

    Args:
        window: Pixels a side of the neighbourhood, odd and at least 3; about the largest regular feature.
        tolerance: How much worse than the best a chosen window may be, as a share of the best, at least 0.

    Raises:
        ValueError: an argument is out of range.
    """

    window: int = 11
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise ValueError(f"window must be odd and at least 3, got {self.window}")
        if self.tolerance < 0:
            raise ValueError(f"tolerance must be at least 0, got {self.tolerance}")

    def __call__(
        self, sample: Tensor, height: int, width: int, seed: int = 0, told: Callable[[int], None] | None = None
    ) -> Tensor:
        """A texture (C, `height`, `width`) of pixels of `sample` (C, h, w).

        Args:
            sample: The sample, sides at least `window`.
            height: Rows of the texture, at least 3.
            width: Columns of the texture, at least 3.
            seed: Seed of the start and of every draw.
            told: Called with a number of pixels as they are filled.

        Raises:
            ValueError: the sample is smaller than the window, or the texture than the seed.
        """
        require_within("window", self.window, sample)
        if min(height, width) < SEED_SIDE:
            raise ValueError(f"height and width must be at least {SEED_SIDE}, got {height} x {width}")
        canvas = _Canvas(sample, self.window, height, width, torch.Generator().manual_seed(seed))
        filled = SEED_SIDE**2
        while filled < height * width:
            for row, column in canvas.border():
                canvas.fill(row, column, self.tolerance)
                filled += 1
                if told is not None:
                    told(1)
        return canvas.texture()


def require_within(name: str, side: int, sample: Tensor) -> None:
    """Raise ValueError where a square of `side` pixels is larger than the sample (C, h, w)."""
    height, width = sample.shape[-2:]
    if side > min(height, width):
        raise ValueError(f"{name} must be at most the sides of the sample, {width} x {height}, got {side}")


@dataclass
class _Canvas:
    """A texture that is filled in: `values` (C, H + 2r, W + 2r) and `filled` with a margin of r pixels around."""

    sample: Tensor
    window: int
    height: int
    width: int
    generator: torch.Generator
    values: Tensor = field(init=False)
    filled: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.radius, channels = self.window // 2, len(self.sample)
        windows = functional.unfold(self.sample[None].float(), self.window)[0]  # (C window^2, N)
        self.windows = windows.T.contiguous()
        self.squares = windows.square().reshape(channels, -1, windows.shape[1]).sum(0).T.contiguous()
        self.centres = windows.reshape(channels, -1, windows.shape[1])[:, self.window**2 // 2]
        line = torch.arange(self.window) - self.radius
        bell = torch.exp(-line.square() / (2 * (self.window / 6.4) ** 2))
        self.bell = bell[:, None] * bell
        sides = (self.height + 2 * self.radius, self.width + 2 * self.radius)
        self.values, self.filled = torch.zeros(channels, *sides), torch.zeros(sides)
        top, left = ((side - SEED_SIDE) // 2 + self.radius for side in (self.height, self.width))
        down, right = (self._drawn(side - SEED_SIDE + 1) for side in self.sample.shape[-2:])
        seed = self.sample[:, down : down + SEED_SIDE, right : right + SEED_SIDE]
        self.values[:, top : top + SEED_SIDE, left : left + SEED_SIDE] = seed
        self.filled[top : top + SEED_SIDE, left : left + SEED_SIDE] = 1

    def border(self) -> list[list[int]]:
        """Empty pixels beside filled ones, those with most filled neighbours first, equal ones in random order."""
        known = functional.avg_pool2d(self.filled[None, None], 3, 1, 1)[0, 0]
        inside = torch.zeros_like(self.filled)
        inside[self.radius : self.radius + self.height, self.radius : self.radius + self.width] = 1
        empty = ((known > 0) & (self.filled == 0) & (inside > 0)).nonzero()
        empty = empty[torch.randperm(len(empty), generator=self.generator)]
        window = functional.avg_pool2d(self.filled[None, None], self.window, 1, self.radius)[0, 0]
        return empty[window[empty[:, 0], empty[:, 1]].argsort(descending=True, stable=True)].tolist()

    def fill(self, row: int, column: int, tolerance: float) -> None:
        """Copy the centre of a window of the sample that fits around a pixel."""
        rows, columns = (slice(at - self.radius, at + self.radius + 1) for at in (row, column))
        weight = self.bell * self.filled[rows, columns]
        weight = weight / weight.sum()
        wanted = (self.values[:, rows, columns] * weight).flatten()
        own = (self.values[:, rows, columns].square() * weight).sum()
        distance = (self.squares @ weight.flatten() - 2 * (self.windows @ wanted) + own).clamp(min=0)
        fit = (distance <= distance.min() * (1 + tolerance) + 1e-6).nonzero()[:, 0]
        self.values[:, row, column] = self.centres[:, fit[self._drawn(len(fit))]]
        self.filled[row, column] = 1

    def texture(self) -> Tensor:
        """What was filled in, (C, H, W)."""
        inside = self.values[:, self.radius : self.radius + self.height, self.radius : self.radius + self.width]
        return inside.to(self.sample.dtype)

    def _drawn(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.generator))
