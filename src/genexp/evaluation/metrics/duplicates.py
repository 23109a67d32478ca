"""How many different pictures a generator makes, by how often two of them are the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.metrics.base import SHARE, Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore

_CHUNK = 512


@dataclass(frozen=True)
class Nearness:
    """The distance below which a pair is called the same picture, and the share of real pairs below it."""

    threshold: float
    share: float


class Duplicates(OfSets):
    r"""The share of pairs of generated images that are the same picture: the birthday paradox as a test of support.

    Two pictures are the same where their features are nearer than those of all but a share `strictness` of pairs of
    real images. Of a uniform choice among M pictures two are the same with probability 1 / M: the detail `support`, one
    over the share, is that M; there is none where no pair is the same.

    Lower is better, down to that of real images, `real`, which is `strictness` but for ties. `resolution` is one
    pair in all. Traps: features that see little call different pictures the same; a set of n images sees a support
    of at most about n^2 / 2; real data with doubles of their own raise the threshold.

    Reference: Arora, Risteski and Zhang, "Do GANs learn the distribution? Some Theory and Empirics" (2018), where
    people look at the nearest pairs.

    Args:
        strictness: Share of pairs of real images that are nearer than the threshold.
        most: Images looked at on each side, the first ones.
        extractor: Features of its own, or None for those of the evaluation.

    Raises:
        ValueError: an argument is out of range.
    """

    values: ClassVar[dict[str, Better]] = {"duplicates": "lower"}
    reacts: ClassVar[dict[str, str]] = {"collapse": "worse"}

    def __init__(self, strictness: float = 1e-4, most: int = 5000, extractor: FeatureExtractor | None = None) -> None:
        if not 0 < strictness < 1:
            raise ValueError(f"strictness must lie between 0 and 1, got {strictness}")
        if most < 2:
            raise ValueError(f"most must be at least 2 images, got {most}")
        self.strictness, self.most, self.extractor = strictness, most, extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Nearness:
        """Find the threshold.

        Raises:
            ValueError: there are fewer than two real images.
        """
        features = self._some(reference)
        pairs = len(features) * (len(features) - 1) // 2
        wanted = max(1, round(self.strictness * pairs))
        nearest = torch.cat([near.topk(min(wanted, len(near)), largest=False)[0] for near in _distances(features)])
        threshold = float(nearest.sort()[0][wanted - 1])
        return Nearness(threshold, self._share(features, threshold))

    def compute(self, generated: FeatureStore, prepared: Nearness) -> dict[str, Value]:
        """The share of pairs.

        Raises:
            ValueError: there are fewer than two generated images.
        """
        features = self._some(generated)
        share = self._share(features, prepared.threshold)
        details = {"real": prepared.share, "resolution": 2 / (len(features) * (len(features) - 1))}
        if share:
            details["support"] = 1 / share
        return {"duplicates": Value(share, (), details, SHARE)}

    def _some(self, store: FeatureStore) -> Tensor:
        if store.count < 2:
            raise ValueError(f"duplicates needs at least 2 images, got {store.count}")
        return store.features[: self.most]

    def _share(self, features: Tensor, threshold: float) -> float:
        count = sum(int((near <= threshold).sum()) for near in _distances(features))
        return 2 * count / (len(features) * (len(features) - 1))


def _distances(features: Tensor) -> Iterator[Tensor]:
    """Distances of all pairs i < j of features (N, D), in parts."""
    for first in range(0, len(features), _CHUNK):
        rows = features[first : first + _CHUNK]
        distance = torch.cdist(rows, features[first:], compute_mode="donot_use_mm_for_euclid_dist")
        yield distance[torch.ones_like(distance, dtype=torch.bool).triu(1)]
