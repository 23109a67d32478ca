"""What a metric is: named values, the statistic of features that they need, and how two of them become numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, Protocol

from genexp.contracts import FeatureExtractor
from genexp.evaluation.statistics import Statistic

SHARE = (0.0, 1.0)
"""Limits of a value that is a share of something."""

DISTANCE = (0.0, inf)
"""Limits of a distance or a ratio of distances; an estimate of one without bias may still lie below 0."""

Better = Literal["lower", "higher", "reference"]
"""Whether smaller or larger is better, or neither: then the value of real images is the aim."""


@dataclass(frozen=True)
class Value:
    """A number with its uncertainty and whatever its metric reports beside it.

    Args:
        value: The number.
        draws: Pseudo-values of the jackknife over groups of samples: their mean is the number without its bias of order
            1 / n, and they give the interval. Empty where the metric has none or there are too few samples.
        details: Further numbers by name.
        limits: Smallest and largest value that there can be; an interval is cut to them.
    """

    value: float
    draws: tuple[float, ...] = ()
    details: dict[str, float] = field(default_factory=dict)
    limits: tuple[float, float] = (-inf, inf)


class Metric(Protocol):
    """A comparison of generated with real images through their features.

    `values` names what it computes and says which direction is better; `statistic` is what it needs to know of a set of
    features: metrics with the same statistic share one pass; `extractor` is the metric's own, or None for the
    evaluation's. `reacts` says how it must move on the images with known faults of `canaries`. A metric that compares
    image i with image i, and not a set with a set, says so by an attribute `paired = True`. Plain public attributes are
    its settings and part of the protocol.
    """

    values: Mapping[str, Better]
    reacts: Mapping[str, str]
    statistic: type[Statistic]
    extractor: FeatureExtractor | None

    def prepare(self, reference: Any, extractor: FeatureExtractor) -> Any:
        """Whatever can be computed from the real side once; handed to every `compute`.

        Raises:
            ValueError: the reference or the extractor does not serve; said before anything is generated.
        """
        ...

    def compute(self, generated: Any, prepared: Any) -> dict[str, Value]:
        """The values of a set of generated images, by the names in `values`.

        Raises:
            ValueError: there are fewer images than the metric needs.
        """
        ...
