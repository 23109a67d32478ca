"""What a metric is: named values, what they are taken from, and how it becomes numbers. Three kinds exist."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from torch import Tensor

from genexp.contracts import Batch, FeatureExtractor
from genexp.evaluation.images import ImageSet
from genexp.evaluation.summaries import FeatureStore, Statistic

SHARE = (0.0, 1.0)
"""Limits of a value that is a share of something."""

DISTANCE = (0.0, inf)
"""Limits of a distance or a ratio of distances; an estimate of one without bias may still lie below 0."""

Better = Literal["lower", "higher", "reference"]
"""Whether smaller or larger is better, or neither: then the value of real images is the aim."""

MetricKind = Literal["sets", "pairs", "model"]
"""What a metric looks at: a set of generated images beside a set of real ones, image i beside image i, or the model."""


@dataclass(frozen=True)
class Curve:
    """What a value is a mean of, as a table.

    Args:
        across: The column that a picture has from left to right.
        upwards: The column that it has from bottom to top.
        columns: Numbers by the names of their columns, all equally many; `standard_error` is that of `upwards`.
    """

    across: str
    upwards: str
    columns: Mapping[str, list[float]]


@dataclass(frozen=True)
class Value:
    """A number with its uncertainty and whatever its metric reports beside it.

    Args:
        value: The number.
        draws: Pseudo-values of the jackknife over groups of samples: their mean is the number without its bias of order
            1 / n, and they give the interval. Empty where the metric has none or there are too few samples.
        details: Further numbers by name.
        limits: Smallest and largest value that there can be; an interval is cut to them.
        unit: What it is counted in, such as `nats`; empty for a bare number.
        curve: What it is a mean of, where that is worth a look.
    """

    value: float
    draws: tuple[float, ...] = ()
    details: dict[str, float] = field(default_factory=dict)
    limits: tuple[float, float] = (-inf, inf)
    unit: str = ""
    curve: Curve | None = None


class Metric(Protocol):
    """A comparison of generated with real images through their features.

    `values` names what it computes and says which direction is better; `statistic` is what it needs to know of a set of
    features: metrics with the same statistic share one pass; `extractor` is the metric's own, or None for the
    evaluation's. `reacts` says how it must move on the images with known faults of `canaries`. `kind` is `sets`, or
    `pairs` for one that compares image i with image i. Plain public attributes are its settings and part of the
    protocol.
    """

    kind: MetricKind
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
        """The values of a set of generated images, by the names in `values`; one that they do not have is left out.

        Raises:
            ValueError: there are fewer images than the metric needs.
        """
        ...


class OfSets:
    """What metrics share that hold features of generated images against those of real ones, image by image or not.

    Args:
        extractor: Features of its own, or None for those of the evaluation.
    """

    kind: ClassVar[MetricKind] = "sets"
    statistic: ClassVar[type[Statistic]] = FeatureStore

    def __init__(self, extractor: FeatureExtractor | None = None) -> None:
        self.extractor = extractor


class ModelMetric(Protocol):
    """A measure of a model on held-out data; nothing is generated for it.

    `values` names what it can give and says which direction is better; a value that a model does not have is left out.
    `kind` is `model`. `split` are the data that it looks at: `train`, `val` or `test` of those that the model learned
    from. Plain public attributes are its settings and part of the protocol.
    """

    kind: MetricKind
    values: Mapping[str, Better]
    split: str

    def require(self, model: object) -> None:
        """Look at a model before it is trained or measured.

        Raises:
            TypeError: this cannot be measured of it.
        """
        ...

    def subject(self, model: object) -> str:
        """What must be equal in two models before their values may stand side by side, in a few words."""
        ...

    def compute(self, model: object, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The values of a model in evaluation mode, by the names in `values`.

        Args:
            model: What samplers draw from too.
            batches: The whole split in order: `image`, and `label` and `group` where known.
            seed: Seed of whatever is drawn for them; what image i gets depends on (seed, i) alone.
        """
        ...


@runtime_checkable
class OfFactors(Protocol):
    """A `ModelMetric` that asks for the factors which images were made from, in entries `factor.<name>` of a batch."""

    def compute_factors(
        self, latent: Tensor, factors: Mapping[str, Tensor], group: Tensor, seed: int
    ) -> dict[str, Value]:
        """The values from latents (N, D), levels (N,) of every factor, and groups (N,)."""
        ...


@runtime_checkable
class BesideOthers(Protocol):
    """A `ModelMetric` that holds the model's data against others, which `other` names."""

    other: str

    def beside(self, foreign: ImageSet, own: ImageSet) -> Self:
        """The same measure with the other images at hand.

        Raises:
            ValueError: they do not fit the model's own.
        """
        ...


@runtime_checkable
class LearnsFirst(Protocol):
    """A `ModelMetric` that learns from labelled images of another split before it measures.

    `learn_from` is that split, `num` the number of its images that are used at most, or None for all.
    """

    learn_from: str
    num: int | None

    def learned(self, model: object, batches: Iterable[Batch], seed: int) -> Self:
        """The same measure once it has learned from batches with `image`, `label` and `group`."""
        ...
