"""Vendi score: the effective number of different images in a set."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genexp.contracts import FeatureExtractor
from genexp.evaluation.jackknife import groups_to_leave_out, sizes_of
from genexp.evaluation.metrics.base import Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore
from genexp.evaluation.uncertainty import pseudo_values

_CHUNK = 1024
_QUICK = 256


@dataclass(frozen=True)
class RealDiversity:
    """The score of the real images."""

    score: float


class Vendi(OfSets):
    r"""exp of the entropy of the eigenvalues of K / n, K the cosine similarities of features: how many kinds of images?

    1 when all images are the same, n when all are orthogonal; never more than the number of features. With fewer
    features than images the eigenvalues come from the D x D second moments, which has the same ones.

    No direction is better by itself: noise can be as diverse as anything. Compare it with the real images' own value,
    given as `real`. Traps: fewer images give a lower value; the number depends on the features more than on the images,
    since features with a common direction make all images alike.

    Reference: Friedman and Dieng, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning" (2023).

    Args:
        extractor: Features of its own, or None for those of the evaluation.
    """

    values: ClassVar[dict[str, Better]] = {"vendi": "reference"}
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "missing_class": "worse",
        "noise": "worse",
        "blur": "worse",
        "jpeg": "worse",
    }

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> RealDiversity:
        """Score the real images.

        Raises:
            ValueError: there are none, or an image has no direction.
        """
        return RealDiversity(vendi_score(_similarities(_directions(reference))))

    def compute(self, generated: FeatureStore, prepared: RealDiversity) -> dict[str, Value]:
        """The score; pseudo-values with up to 256 features, where leaving groups out is quick.

        Raises:
            ValueError: there are no images, or an image has no direction.
        """
        directions = _directions(generated)
        similarities = _similarities(directions)
        value = vendi_score(similarities)
        groups = groups_to_leave_out(generated.group)
        draws: tuple[float, ...] = ()
        if groups and directions.shape[1] <= _QUICK:
            moments = _second_moments(directions)
            without = [vendi_score(moments - _second_moments(directions[members])) for members in groups]
            draws = tuple(pseudo_values(value, without, sizes_of(groups)))
        return {"vendi": Value(value, draws, {"real": prepared.score}, (1.0, inf))}


def vendi_score(similarities: Tensor) -> float:
    r"""exp(-\sum_i l_i log l_i) of the eigenvalues l_i of a similarity matrix, scaled so that they sum to 1.

    Args:
        similarities: A positive semi-definite matrix (n, n) of similarities with ones on its diagonal, or any matrix
            with the same eigenvalues apart from zeros.
    """
    shares = torch.linalg.eigvalsh(similarities.double()).clamp(min=0)
    shares = shares / shares.sum()
    return float((-torch.xlogy(shares, shares).sum()).exp())


def _directions(store: FeatureStore) -> Tensor:
    if not store.count:
        raise ValueError("a Vendi score needs at least 1 image, got 0")
    features = store.features
    empty = int((features == 0).all(1).sum())
    if empty:
        raise ValueError(f"features must have a direction for cosine similarities, got {empty} images with zeros only")
    return features


def _similarities(features: Tensor) -> Tensor:
    if features.shape[1] < len(features):
        return _second_moments(features)
    directions = normalize(features.double(), dim=1)
    return directions @ directions.mT


def _second_moments(features: Tensor) -> Tensor:
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for chunk in features.split(_CHUNK):
        directions = normalize(chunk.double(), dim=1)
        total += directions.mT @ directions
    return total
