"""Summaries of feature vectors, gathered in pieces: the same numbers for any batch size, order or process count."""

from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from genexp.evaluation.dealing import group_numbers
from genexp.evaluation.moments import require_features
from genexp.evaluation.neighbours import smallest_distances

_COMMON = 5
"""Neighbours that are looked for at once, since metrics ask for three and for five."""


class Statistic(Protocol):
    """A summary of feature vectors that grows by `update`, joins others by `merge` and is stored as tensors."""

    def __init__(self, dimensions: int) -> None: ...

    @property
    def count(self) -> int:
        """Number of vectors seen."""
        ...

    def update(self, features: Tensor, index: Tensor, label: Tensor | None = None, group: Tensor | None = None) -> None:
        """Add vectors (N, D) of the samples `index` (N,), with their classes (N,) where there are any.

        Their groups (N,) are a hash of the index where none are given.
        """
        ...

    def merge(self, other: Self) -> None:
        """Add all that `other` has seen."""
        ...

    def condensed(self) -> Self:
        """All that a reference needs: what is kept on disk for real images."""
        ...

    def state(self) -> dict[str, Tensor]:
        """The summary as tensors of at least one axis, to be stored or sent to another process."""
        ...

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild a summary from `state`."""
        ...


class FeatureStore:
    """The feature vectors themselves, in the order of the samples' indices, in float32 or as 8-bit images on the CPU.

    Memory: 4 N D bytes, or N D of images.

    Args:
        dimensions: Length D of a feature vector.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._parts: list[dict[str, Tensor]] = []
        self._spacing: Tensor | None = None

    @property
    def count(self) -> int:
        """Number of vectors seen."""
        return sum(len(part["index"]) for part in self._parts)

    def radii(self, k: int) -> Tensor:
        """Distance (N,) of every vector to its k-th nearest other one; kept for the next metric that asks."""
        if self._spacing is None or self._spacing.shape[1] < k:
            own = torch.arange(self.count)
            self._spacing = smallest_distances(self.features, self.features, max(k, _COMMON), own)
        return self._spacing[:, k - 1]

    @property
    def features(self) -> Tensor:
        """The vectors (N, D) in the order of their indices."""
        return self._sorted()["features"]

    @property
    def index(self) -> Tensor:
        """The indices (N,) in ascending order."""
        return self._sorted()["index"]

    @property
    def label(self) -> Tensor:
        """The classes (N,) in the order of the indices; -1 where a sample has none."""
        return self._sorted()["label"]

    @property
    def group(self) -> Tensor:
        """The groups (N,) that the samples are dealt into, in the order of the indices."""
        return self._sorted()["group"]

    def update(self, features: Tensor, index: Tensor, label: Tensor | None = None, group: Tensor | None = None) -> None:
        """Add vectors (N, D) of the samples `index` (N,) with their classes (N,) and groups (N,), if any.

        Raises:
            ValueError: the shape is wrong or a value is not finite.
        """
        require_features(features, self.dimensions)
        classes = torch.full_like(index, -1) if label is None else label
        kept = features.detach().cpu()
        kept = kept if kept.dtype == torch.uint8 else kept.float()
        groups = group_numbers(index.cpu()) if group is None else group.cpu().long()
        part = {"features": kept, "index": index.cpu().long(), "label": classes.cpu().long(), "group": groups}
        self._parts.append(part)
        self._spacing = None

    def merge(self, other: Self) -> None:
        """Add all vectors that `other` has seen.

        Raises:
            ValueError: the two have different dimensions.
        """
        if other.dimensions != self.dimensions:
            raise ValueError(f"merged features must have {self.dimensions} dimensions, got {other.dimensions}")
        self._parts += other._parts
        self._spacing = None

    def condensed(self) -> Self:
        """The store itself."""
        return self

    def state(self) -> dict[str, Tensor]:
        """Vectors, indices, classes and groups."""
        return dict(self._sorted())

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Rebuild a store from `state`."""
        store = cls(state["features"].shape[1])
        store._parts = [dict(state)]
        return store

    def _sorted(self) -> dict[str, Tensor]:
        if not self._parts:
            none = torch.empty(0, dtype=torch.int64)
            return {"features": torch.empty(0, self.dimensions), "index": none, "label": none, "group": none}
        if len(self._parts) > 1 or not _ascending(self._parts[0]["index"]):
            columns = {name: torch.cat([part[name] for part in self._parts]) for name in self._parts[0]}
            order = columns["index"].argsort(stable=True)
            self._parts = [{name: column[order] for name, column in columns.items()}]
        return self._parts[0]


@runtime_checkable
class OfCaptions(Protocol):
    """A `Statistic` that also keeps what every sample was said to show."""

    def add_captions(self, caption: Tensor | None) -> None:
        """Captions (N, L) of the samples of the last `update`.

        Raises:
            ValueError: there are none.
        """
        ...


class CaptionedStore(FeatureStore):
    """The feature vectors with the caption of every sample."""

    @property
    def caption(self) -> Tensor:
        """The captions (N, L) in the order of the indices, numbers of words."""
        return self._sorted()["caption"]

    def add_captions(self, caption: Tensor | None) -> None:
        """Captions (N, L) of the samples of the last `update`.

        Raises:
            ValueError: there are none.
        """
        if caption is None:
            raise ValueError("samples must have captions to be held against, got none: see data.source.captions")
        self._parts[-1]["caption"] = caption.cpu()


def _ascending(index: Tensor) -> bool:
    return bool((index[1:] >= index[:-1]).all())


def require_labels(metric: str, store: FeatureStore) -> None:
    """Check that all images of a set have a class.

    Raises:
        ValueError: there are no images, or some are without a label.
    """
    missing = int((store.label < 0).sum())
    if missing or store.count == 0:
        raise ValueError(f"{metric} needs labelled images, got {missing} of {store.count} without a label")
