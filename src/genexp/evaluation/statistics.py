"""Summaries of feature vectors, gathered in pieces: the same numbers for any batch size, order or process count."""

from typing import Protocol, Self

import torch
from torch import Tensor


class Statistic(Protocol):
    """A summary of feature vectors (N, D) that grows by `update`, joins others by `merge` and is stored as tensors."""

    count: int

    def __init__(self, dimensions: int) -> None: ...

    def update(self, features: Tensor) -> None: ...

    def merge(self, other: Self) -> None: ...

    def state(self) -> dict[str, Tensor]: ...

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self: ...


class Moments:
    r"""Count, mean and centred second moment of feature vectors, in float64 on the CPU.

    Two summaries of n_a and n_b vectors with means m_a, m_b and scatters S = \sum (x - m)(x - m)^T join to
    m = m_a + (n_b / n) d and S = S_a + S_b + (n_a n_b / n) d d^T with d = m_b - m_a and n = n_a + n_b. Nothing large is
    subtracted, so features far from zero lose no precision.

    Reference: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
    (1979).

    Args:
        dimensions: Length D of a feature vector.
    """

    def __init__(self, dimensions: int) -> None:
        if dimensions < 1:
            raise ValueError(f"dimensions must be at least 1, got {dimensions}")
        self.count = 0
        self.mean = torch.zeros(dimensions, dtype=torch.float64)
        self.scatter = torch.zeros(dimensions, dimensions, dtype=torch.float64)

    @property
    def dimensions(self) -> int:
        """Length D of a feature vector."""
        return len(self.mean)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (D, D).

        Raises:
            ValueError: fewer than two vectors were seen.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 images, got {self.count}")
        return self.scatter / (self.count - 1)

    def update(self, features: Tensor) -> None:
        """Add feature vectors (N, D).

        Raises:
            ValueError: the shape is wrong or a value is not finite.
        """
        require_features(features, self.dimensions)
        values = features.detach().cpu().double()
        if len(values):
            mean = values.mean(0)
            centred = values - mean
            self._join(len(values), mean, centred.mT @ centred)

    def merge(self, other: Self) -> None:
        """Add all vectors that `other` has seen.

        Raises:
            ValueError: the two have different dimensions.
        """
        if other.dimensions != self.dimensions:
            raise ValueError(f"merged moments must have {self.dimensions} dimensions, got {other.dimensions}")
        if other.count:
            self._join(other.count, other.mean, other.scatter)

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total = self.count + count
        gap = mean - self.mean
        self.scatter = self.scatter + scatter + torch.outer(gap, gap) * (self.count * count / total)
        self.mean = self.mean + gap * (count / total)
        self.count = total

    def state(self) -> dict[str, Tensor]:
        """The summary as tensors, to be stored or sent to another process."""
        return {"count": torch.tensor(self.count), "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild a summary from `state`."""
        moments = cls(len(state["mean"]))
        moments.count = int(state["count"])
        moments.mean, moments.scatter = state["mean"].cpu().double(), state["scatter"].cpu().double()
        return moments


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
