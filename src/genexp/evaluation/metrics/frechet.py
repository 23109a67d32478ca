"""The Fréchet distance between the features of generated and of real images."""

from genexp.contracts import FeatureExtractor
from genexp.evaluation.frechet import Gaussian, frechet_distance
from genexp.evaluation.metrics.base import Value
from genexp.evaluation.statistics import Moments


class FrechetDistance:
    """Squared Fréchet distance of features; smaller is better, and finite samples bias it upwards.

    It is called FID only over the official Inception weights; over any other features its key names them.

    Args:
        extractor: Features of its own, or None for those of the evaluation.
    """

    name = "fd"
    statistic = Moments

    def __init__(self, extractor: FeatureExtractor | None = None) -> None:
        self.extractor = extractor

    def prepare(self, reference: Moments) -> Gaussian:
        """Factor the real side's covariance.

        Raises:
            ValueError: fewer than two real images.
        """
        return Gaussian.fit(reference)

    def compute(self, generated: Moments, prepared: Gaussian) -> Value:
        """The distance, with the part that rounding may account for as `residual`.

        Raises:
            ValueError: fewer than two generated images.
        """
        distance = frechet_distance(generated, prepared)
        return Value(distance.value, {"residual": distance.residual})
