"""Memorisation: are generated images closer to the training images than new real images are?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.jackknife import draws_of_mean
from genexp.evaluation.metrics.base import DISTANCE, SHARE, Better, OfSets, Value
from genexp.evaluation.neighbours import nearest, require_more_than, smallest_distances
from genexp.evaluation.summaries import FeatureStore


@dataclass(frozen=True)
class TrainingImages:
    """Training images as the metric needs them.

    Args:
        points: Features (N, D).
        spacing: Distance (N,) of each to its nearest other one.
        authenticity: The authenticity of each against the others.
        cells: Cells of the feature space.
        cell: The cell (N,) of each.
    """

    points: Tensor
    spacing: Tensor
    authenticity: float
    cells: KMeans
    cell: Tensor


class Memorisation(OfSets):
    r"""Three comparisons of the distance to the nearest training image: for generated and for real images.

    The reference must be the images that the model was trained on (the train split). A real image's own distance is
    that to its nearest other training image: leaving one out stands for a held-out image, so no second set is needed,
    and no part of the training set goes unwatched.

    - `authenticity`: share of generated images whose nearest training image j has another training image nearer than
      they are, d(r_j, r_other) < d(g, r_j). New real images reach about one half, copies 0.
    - `ct`: the z-score of Mann and Whitney's test between the distances of generated and of real images, one for each
      of `cells` k-means cells, averaged with the real images' shares of the cells that have generated images. 0 for new
      real images, far below for copies, far above for images away from all data; it grows with the number of images.
    - `nearest_ratio`: mean distance of generated images to their nearest training image over that of real ones. 1 for
      new real images, 0 for copies.

    No direction is better: the value of new real images is the aim (the floor; what the training images score against
    each other is given as `real`). Below it the model copies; above it the images are far from the data. Traps:
    features that do not see detail report copies where there are none; no score of this kind tells copying from a
    generator that only makes typical images, so look at the pairs.

    Differences from the paper of `ct`: it has a third sample of held-out images and looks for neighbours within a cell;
    here distances are leave-one-out over the whole set. Two mutual neighbours share one, and one training image may be
    nearest to several new ones, so without copying the score of one cell has a standard deviation of 1.0 to 1.3, not 1:
    the most in few dimensions with more new than training images; an average over c equal cells has about 1 / sqrt(c)
    of it. When a
    training set has exactly two or three images of each of many classes, leaving one out takes a large part of its
    class away, and new images seem too close: the floor shows it.

    References: Alaa, van Breugel, Saveliev and van der Schaar, "How Faithful is your Synthetic Data?" (2022); Meehan,
    Chaudhuri and Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models" (2020).

    Args:
        cells: Cells of `ct`; 1 compares all images together.
        extractor: Features of its own, or None for those of the evaluation.

    Raises:
        ValueError: `cells` is below 1.
    """

    values: ClassVar[dict[str, Better]] = {
        "authenticity": "reference",
        "ct": "reference",
        "nearest_ratio": "reference",
    }
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "duplicates": "worse",
        "noise": "worse",
        "blur": "worse",
        "jpeg": "worse",
    }

    def __init__(self, cells: int = 3, extractor: FeatureExtractor | None = None) -> None:
        if cells < 1:
            raise ValueError(f"cells must be at least 1, got {cells}")
        self.cells, self.extractor = cells, extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> TrainingImages:
        """Find the training images' distances to each other, and the cells.

        Raises:
            ValueError: there are fewer than two real images, fewer than cells, or all have equal copies.
        """
        require_more_than(1, reference.count, "real images")
        if reference.count < self.cells:
            raise ValueError(f"cells must be at most the number of real images {reference.count}, got {self.cells}")
        points = reference.features
        own = torch.arange(len(points))
        spacing, neighbour = nearest(points, points, own)
        if not spacing.any():
            raise ValueError("real images must differ for distances between them, got copies only")
        cells = KMeans(self.cells, n_init=4, random_state=0).fit(points.numpy())
        second = smallest_distances(points, points, 2, own)[:, 1]
        others = torch.where(neighbour[neighbour] == own, second[neighbour], spacing[neighbour])  # without the image
        authenticity = float((others < spacing).double().mean())
        cell = torch.from_numpy(cells.labels_.astype(np.int64))
        return TrainingImages(points, spacing, authenticity, cells, cell)

    def compute(self, generated: FeatureStore, prepared: TrainingImages) -> dict[str, Value]:
        """The three values; `ct` is a test statistic and has no pseudo-values.

        Raises:
            ValueError: there are no generated images.
        """
        if not generated.count:
            raise ValueError("memorisation needs at least 1 generated image, got 0")
        distance, training = nearest(generated.features, prepared.points)
        authentic = (prepared.spacing[training] < distance).double()
        ratio = distance.double() / prepared.spacing.mean(dtype=torch.float64)
        cell = torch.from_numpy(prepared.cells.predict(generated.features.numpy()).astype(np.int64))
        copies = float((distance == 0).double().mean())
        real = {"real": prepared.authenticity}
        return {
            "authenticity": Value(float(authentic.mean()), draws_of_mean(authentic, generated.group), real, SHARE),
            "ct": Value(self._copying(distance, cell, prepared), (), {"real": 0.0}),
            "nearest_ratio": Value(
                float(ratio.mean()), draws_of_mean(ratio, generated.group), {"real": 1.0, "copies": copies}, DISTANCE
            ),
        }

    def _copying(self, distance: Tensor, cell: Tensor, prepared: TrainingImages) -> float:
        scores, weights = [], []
        for number in range(self.cells):
            real, generated = prepared.spacing[prepared.cell == number], distance[cell == number]
            if len(generated):
                scores.append(mann_whitney(generated, real))
                weights.append(len(real))
        return sum(score * weight for score, weight in zip(scores, weights, strict=True)) / sum(weights)


def mann_whitney(first: Tensor, second: Tensor) -> float:
    r"""z-score of U = the number of pairs with first > second, ties counted half; below 0 when `first` is smaller.

    (U - m n / 2) / \sqrt{m n (m + n + 1) / 12} for samples (m,) and (n,).
    """
    m, n = len(first), len(second)
    ordered = second.sort().values
    below = torch.searchsorted(ordered, first, right=False) + torch.searchsorted(ordered, first, right=True)
    u = float(below.sum()) / 2
    return (u - m * n / 2) / (m * n * (m + n + 1) / 12) ** 0.5
