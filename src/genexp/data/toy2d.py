"""Distributions in the plane whose modes and density are known."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from genexp.data import generated
from genexp.data.generated import drawn_by_index
from genexp.data.source import Arrays, Split, fingerprint, require_counts, require_split
from genexp.tensors import Plane

Kind = Literal["ring", "grid", "swiss_roll", "moons", "checkerboard"]
_BLOCK = 1024


class Toy2d:
    """Points (x, y) of a named distribution, deterministic by index, all within about [-1, 1].

    - ring: 8 Gaussians at equal angles on the circle of radius `scale`.
    - grid: 25 Gaussians on a 5 x 5 grid that spans [-scale, scale].
    - swiss_roll: one and a half turns of a spiral that ends at radius `scale`, blurred.
    - moons: two interleaved half circles, `scale` wide, blurred.
    - checkerboard: uniform on the dark squares of a 4 x 4 board that spans [-scale, scale]; no blur.

    The label is the mode (ring, grid), the moon, or the dark square; the swiss roll has none.

    Args:
        kind: Which distribution.
        std: Standard deviation of every Gaussian, or of the blur.
        scale: Half the extent.
        train_points: Points of the train split.
        val_points: Points of the val split.
        test_points: Points of the test split.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        kind: Kind = "ring",
        std: float = 0.02,
        scale: float = 1.0,
        train_points: int = 100_000,
        val_points: int = 10_000,
        test_points: int = 10_000,
    ) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}")
        if std < 0:
            raise ValueError(f"std must be at least 0, got {std}")
        if scale <= 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        self.kind, self.std, self.scale = kind, std, scale
        require_counts(train_points=train_points, val_points=val_points, test_points=test_points)
        self.counts = {"train": train_points, "val": val_points, "test": test_points}

    @property
    def centres(self) -> Tensor | None:
        """Means (M, 2) of the Gaussians in the order of their labels; None where the modes are not Gaussian."""
        if self.kind == "ring":
            angle = torch.arange(8) * (2 * math.pi / 8)  # 8 distinct angles: 2 pi itself is left out
            return torch.stack([angle.cos(), angle.sin()], 1) * self.scale
        if self.kind == "grid":
            line = torch.linspace(-self.scale, self.scale, 5)
            return torch.cartesian_prod(line, line)
        return None

    @property
    def plane(self) -> Plane:
        """Where all pictures of this distribution look: half as far again as it reaches, with circles of 3 `std`."""
        return Plane(max(1.5 * self.scale, self.scale + 6 * self.std), self.centres, 3 * self.std)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels; None for the swiss roll."""
        count = {"ring": 8, "grid": 25, "moons": 2, "checkerboard": 8}.get(self.kind)
        return None if count is None else tuple(str(i) for i in range(count))

    def split(self, name: Split) -> Arrays:
        """Points (N, 2) float as the column `image`, and labels (N,) where there are any."""
        require_split(name)
        about = fingerprint(
            __file__,
            generated.__file__,
            kind=self.kind,
            std=self.std,
            scale=self.scale,
            split=name,
            count=self.counts[name],
        )
        return Arrays(drawn_by_index(self.counts[name], _BLOCK, name, self._draw), about, generated=True)

    def _draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        draw = {"swiss_roll": _swiss_roll, "moons": _moons, "checkerboard": _checkerboard}.get(self.kind)
        if draw is None:
            label = torch.randint(len(self.centres), (_BLOCK,), generator=generator)
            columns = {"image": self.centres[label], "label": label}
        else:
            columns = draw(generator, self.scale)
        if self.kind != "checkerboard":
            columns["image"] = columns["image"] + self.std * torch.randn(_BLOCK, 2, generator=generator)
        return columns


def _swiss_roll(generator: torch.Generator, scale: float) -> dict[str, Tensor]:
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(_BLOCK, generator=generator))
    radius = scale * angle / (4.5 * math.pi)
    return {"image": torch.stack([radius * angle.cos(), radius * angle.sin()], 1)}


def _moons(generator: torch.Generator, scale: float) -> dict[str, Tensor]:
    label = torch.randint(2, (_BLOCK,), generator=generator)
    angle = math.pi * torch.rand(_BLOCK, generator=generator)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    points = torch.where(label[:, None] == 0, upper, -upper)
    return {"image": points * scale / 1.5, "label": label}


def _checkerboard(generator: torch.Generator, scale: float) -> dict[str, Tensor]:
    label = torch.randint(8, (_BLOCK,), generator=generator)
    row = label // 2
    column = 2 * (label % 2) + row % 2
    corner = torch.stack([column, row], 1)
    points = (corner + torch.rand(_BLOCK, 2, generator=generator)) / 2 - 1
    return {"image": points * scale, "label": label}
