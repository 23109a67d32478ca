"""What a metric is: a name, the statistic of features that it needs, and a number from two of them."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from genexp.contracts import FeatureExtractor
from genexp.evaluation.statistics import Statistic


@dataclass(frozen=True)
class Value:
    """A number with whatever its metric reports beside it."""

    value: float
    details: dict[str, float] = field(default_factory=dict)


class Metric(Protocol):
    """A comparison of generated with real images through their features.

    `name` begins the metric's key (`fd`); `statistic` is what it needs to know of a set of features: metrics with the
    same statistic share one pass; `extractor` is the metric's own, or None for the evaluation's.
    """

    name: str
    statistic: type[Statistic]
    extractor: FeatureExtractor | None

    def prepare(self, reference: Any) -> Any:
        """Whatever can be computed from the real side once; handed to every `compute`."""
        ...

    def compute(self, generated: Any, prepared: Any) -> Value:
        """The value of a set of generated images."""
        ...
