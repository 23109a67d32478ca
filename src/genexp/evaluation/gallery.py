"""Which samples a person should look at: those nearest to the training images, the most and the least typical."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.base import Better, OfSets, Value
from genexp.evaluation.neighbours import nearest_few
from genexp.evaluation.summaries import FeatureStore


@dataclass(frozen=True)
class Choice:
    """Samples by their index and the real images nearest to them.

    Args:
        samples: Indices (S,) of the chosen generated images.
        neighbours: Indices (S, K) of their nearest real images, nearest first.
        distances: Feature distances (S, K) to them.
    """

    samples: Tensor
    neighbours: Tensor
    distances: Tensor


class Gallery(OfSets):
    """Takes part in an evaluation as a metric without values: it keeps features, and then says what to look at.

    A number about copying means nothing without the pictures: the pairs with the smallest distance are where to look.

    Args:
        neighbours: Real images shown beside a generated one.
    """

    values: ClassVar[dict[str, Better]] = {}
    reacts: ClassVar[dict[str, str]] = {}
    extractor = None

    def __init__(self, neighbours: int = 5) -> None:
        if neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, got {neighbours}")
        self.neighbours = neighbours

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> FeatureStore:
        """Keep the real side as it is."""
        return reference

    def compute(self, generated: object, prepared: object) -> dict[str, Value]:
        """No values."""
        return {}

    def choose(self, generated: FeatureStore, reference: FeatureStore, count: int) -> dict[str, Choice]:
        """`nearest`, `best` and `worst`: `count` samples each.

        `nearest` have the smallest distance to a single real image, `best` the smallest and `worst` the largest mean
        distance to their nearest real images.
        """
        distances, neighbours = nearest_few(generated.features, reference.features, self.neighbours)
        orders = {
            "nearest": distances[:, 0].argsort(stable=True),
            "best": distances.mean(1).argsort(stable=True),
            "worst": distances.mean(1).argsort(descending=True, stable=True),
        }
        return {
            name: Choice(
                generated.index[order[:count]], reference.index[neighbours[order[:count]]], distances[order[:count]]
            )
            for name, order in orders.items()
        }


def pick(images: ImageSet, indices: Tensor) -> Tensor:
    """The images (N, C, H, W) at some positions (N,) of a set, in one pass over it."""
    wanted: dict[int, Tensor] = {}
    needed, seen = {int(i) for i in indices}, 0
    for batch in images.batches():
        for position in needed & set(range(seen, seen + len(batch["image"]))):
            wanted[position] = batch["image"][position - seen].cpu()
        seen += len(batch["image"])
    return torch.stack([wanted[int(i)] for i in indices])
