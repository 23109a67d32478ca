"""Mean and covariance of feature vectors, in float64, joined without loss from any pieces."""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

BLOCK = 1024
"""Fewest vectors that are worth a matrix product of their own, once there is a scatter to add it to."""

PANEL = 256
"""Dimensions that are multiplied with all those behind them at once."""

PIECES = 16
"""Pieces that vectors are kept in; memory in many small ones is slow to come back."""


class Moments:
    r"""Count, mean and centred second moment of feature vectors, in float64 on the CPU.

    Two summaries of n_a and n_b vectors with means m_a, m_b and scatters S = \sum (x - m)(x - m)^T join to
    m = m_a + (n_b / n) d and S = S_a + S_b + (n_a n_b / n) d d^T with d = m_b - m_a and n = n_a + n_b. Nothing large is
    subtracted, so features far from zero lose no precision. As long as there are fewer vectors than dimensions the
    vectors themselves are kept: they are smaller than their scatter, and a factor of it. Of the symmetric scatter one
    triangle is kept.

    Reference: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
    (1979).

    Args:
        dimensions: Length D of a feature vector.
    """

    def __init__(self, dimensions: int) -> None:
        if dimensions < 1:
            raise ValueError(f"dimensions must be at least 1, got {dimensions}")
        self.dimensions = dimensions
        self._count = 0
        self._mean = torch.zeros(dimensions, dtype=torch.float64)
        self._scatter: Tensor | None = None
        self._rows: list[Tensor] = []

    @property
    def count(self) -> int:
        """Number of vectors seen."""
        return self._count + sum(len(rows) for rows in self._rows)

    @property
    def mean(self) -> Tensor:
        """The mean (D,) in float64."""
        self._settle()
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (D, D) in float64.

        Raises:
            ValueError: fewer than two vectors were seen.
        """
        if self._few:
            factor = self.factor
            return factor @ factor.mT
        self._require_two()
        self._settle()
        return unpacked(self._scatter, self.dimensions) / (self._count - 1)

    @property
    def factor(self) -> Tensor | None:
        """A factor F (D, N) of the covariance F F^T while there are fewer vectors than dimensions, else None.

        Raises:
            ValueError: fewer than two vectors were seen.
        """
        self._require_two()
        if not self._few or self.count >= self.dimensions:
            return None
        rows = torch.cat(self._rows).double()
        return (rows - rows.mean(0)).mT / (len(rows) - 1) ** 0.5

    def update(self, features: Tensor) -> None:
        """Add feature vectors (N, D).

        Raises:
            ValueError: the shape is wrong or a value is not finite.
        """
        require_features(features, self.dimensions)
        if len(features):
            self._rows.append(features.detach().cpu())
            if len(self._rows) > PIECES:
                self._rows = [torch.cat(self._rows)]
            self._absorb_if_many()

    def merge(self, other: Self) -> None:
        """Add all vectors that `other` has seen.

        Raises:
            ValueError: the two have different dimensions.
        """
        if other.dimensions != self.dimensions:
            raise ValueError(f"merged moments must have {self.dimensions} dimensions, got {other.dimensions}")
        self._rows += other._rows
        if other._scatter is not None:
            self._join(other._count, other._mean, other._scatter)
        self._absorb_if_many()

    def without(self, part: Self) -> Self:
        """The moments of all vectors but those of `part`, which must be among them.

        The joining formula is solved for one side: S_a = S - S_b - (n_a n_b / n) d d^T. No precision to
        speak of is lost when `part` is a small share.

        Raises:
            ValueError: fewer than one vector would be left.
        """
        rest = type(self)(self.dimensions)
        rest._count = self.count - part.count
        if rest._count < 1:
            raise ValueError(f"a part must leave at least 1 of {self.count} images, got {part.count}")
        self._absorb_all()
        part = joined([part])
        part._absorb_all()
        rest._mean = self._mean + (self._mean - part._mean) * (part._count / rest._count)
        gap = part._mean - rest._mean
        rest._scatter = self._scatter - part._scatter
        rest._scatter -= packed(torch.outer(gap, gap)) * (rest._count * part._count / self._count)
        return rest

    def state(self) -> dict[str, Tensor]:
        """Count, mean, the scatter's upper triangle (empty while there is none) and kept vectors."""
        rows = torch.cat(self._rows) if self._rows else torch.empty(0, self.dimensions)
        scatter = torch.empty(0, dtype=torch.float64) if self._scatter is None else self._scatter
        return {"count": torch.tensor([self._count]), "mean": self._mean, "scatter": scatter, "rows": rows}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild a summary from `state`."""
        moments = cls(len(state["mean"]))
        moments._count, moments._mean = int(state["count"]), state["mean"].cpu().double()
        moments._scatter = state["scatter"].cpu().double() if len(state["scatter"]) else None
        moments._rows = [state["rows"].cpu()] if len(state["rows"]) else []
        return moments

    @property
    def _few(self) -> bool:
        return self._scatter is None and self.count < self.dimensions

    def _require_two(self) -> None:
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 images, got {self.count}")

    def _settle(self) -> None:
        """Bring mean and scatter up to date; with fewer vectors than dimensions, the mean alone."""
        if self._few:
            self._mean = torch.cat(self._rows).double().mean(0) if self._rows else self._mean
        else:
            self._absorb_all()

    def _absorb_if_many(self) -> None:
        enough = max(self.dimensions, BLOCK) if self._scatter is None else BLOCK
        if self.count - self._count >= enough:
            self._absorb()

    def _absorb_all(self) -> None:
        if self._rows:
            self._absorb()

    def _absorb(self) -> None:
        values = torch.cat(self._rows).double()
        self._rows = []
        mean, count = values.mean(0), self._count
        values -= mean
        if self._scatter is None:
            self._count, self._mean, self._scatter = len(values), mean, packed_square(values)
            return
        total, gap = count + len(values), mean - self._mean
        joining = gap[None] * (count * len(values) / total) ** 0.5  # its square is what joining adds
        values = torch.cat([values, joining])
        self._scatter = self._scatter + packed_square(values)
        self._mean = self._mean + gap * ((total - count) / total)
        self._count = total

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if self._scatter is None:
            self._count, self._mean, self._scatter = count, mean, scatter
            return
        total = self._count + count
        gap = mean - self._mean
        self._scatter = self._scatter + scatter + packed(torch.outer(gap, gap)) * (self._count * count / total)
        self._mean = self._mean + gap * (count / total)
        self._count = total


def packed(matrix: Tensor) -> Tensor:
    """The upper triangle (D (D + 1) / 2,) of a symmetric matrix (D, D), row by row."""
    return torch.cat([row[start:] for start, row in enumerate(matrix.unbind())])


def packed_square(rows: Tensor) -> Tensor:
    """The upper triangle of X^T X for rows X (N, D), in panels, of which little lies below the diagonal."""
    pieces = []
    for start in range(0, rows.shape[1], PANEL):
        panel = rows[:, start : start + PANEL].mT @ rows[:, start:]
        pieces += [row[below:] for below, row in enumerate(panel.unbind())]
    return torch.cat(pieces)


def unpacked(triangle: Tensor, dimensions: int) -> Tensor:
    """The symmetric matrix (D, D) of an upper triangle."""
    matrix = triangle.new_zeros(dimensions, dimensions)
    for start, part in enumerate(triangle.split([*range(dimensions, 0, -1)])):
        matrix[start, start:] = part
    return matrix + matrix.triu(1).mT


def joined(parts: Iterable[Moments]) -> Moments:
    """The moments of all vectors that any of `parts` has seen; the parts are left as they were.

    Raises:
        ValueError: there are no parts, or they have different dimensions.
    """
    parts = list(parts)
    if not parts:
        raise ValueError("parts must hold at least one summary, got none")
    total = Moments(parts[0].dimensions)
    for part in parts:
        total.merge(part)
    return total


def require_features(features: Tensor, dimensions: int) -> None:
    """Check that an extractor returned finite vectors of the shape it declares.

    Raises:
        ValueError: the shape is not (N, `dimensions`), or a value is NaN or infinite.
    """
    if features.ndim != 2 or features.shape[1] != dimensions:
        raise ValueError(f"features must have shape (N, {dimensions}), got {tuple(features.shape)}")
    if not torch.isfinite(features).all():
        bad = int((~torch.isfinite(features)).any(1).sum())
        raise ValueError(f"features must be finite, got NaN or infinity in {bad} of {len(features)} images")
