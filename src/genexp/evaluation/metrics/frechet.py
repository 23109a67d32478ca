"""The Fréchet distance between the features of generated and of real images."""

from typing import ClassVar

from genexp.contracts import FeatureExtractor
from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.grouped_moments import GroupedMoments
from genexp.evaluation.metrics.base import DISTANCE, Better, OfSets, Value
from genexp.evaluation.uncertainty import pseudo_values

ENOUGH = 4
"""Samples a dimension from which the bias is close enough to c / n for the jackknife to remove it."""


class FrechetDistance(OfSets):
    """Squared Fréchet distance of features; finite samples bias it upwards by about c / n.

    It is called FID only over the official Inception weights; over any other features its key names them. The jackknife
    takes the reference as given: its pseudo-values estimate the distance of the model itself, infinitely many samples,
    from this set of real images. Copies of the training images are the best that it can see: it cannot tell them from
    new ones.

    Args:
        extractor: Features of its own, or None for those of the evaluation.
    """

    values: ClassVar[dict[str, Better]] = {"fd": "lower"}
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "missing_class": "worse",
        "noise": "worse",
        "blur": "worse",
        "swapped": "worse",
    }
    statistic = GroupedMoments

    def prepare(self, reference: GroupedMoments, extractor: FeatureExtractor) -> GaussianMoments:
        """Factor the real side's covariance.

        Raises:
            ValueError: fewer than two real images.
        """
        return GaussianMoments.fit(reference.total)

    def compute(self, generated: GroupedMoments, prepared: GaussianMoments) -> dict[str, Value]:
        """The distance, with the part that rounding may account for as `residual`.

        Raises:
            ValueError: fewer than two generated images.
        """
        distance = frechet_distance(generated.total, prepared)
        draws: list[float] = []
        sizes = generated.sizes
        if len(sizes) > 1 and min(sizes) > 0 and generated.count >= ENOUGH * generated.dimensions:
            without = [frechet_distance(rest, prepared).value for rest in generated.without_each()]
            draws = pseudo_values(distance.value, without, sizes)
        return {"fd": Value(distance.value, tuple(draws), {"residual": distance.residual}, DISTANCE)}
