"""What images are said to show: a caption for every sample."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from genexp.conditioning.kinds import Words
from genexp.conditioning.tokenised import Tokenised
from genexp.data.source import Source
from genexp.evaluation.metrics.base import Metric
from genexp.evaluation.summaries import CaptionedStore, FeatureStore, OfCaptions


class Captions(Protocol):
    """Captions of the samples of a store, and what the store must keep of them."""

    statistic: type[FeatureStore]

    def of(self, store: FeatureStore) -> list[str]:
        """Captions of the N samples, in the order of their features."""
        ...


class ClassCaptions:
    """The name of a sample's class in a sentence.

    Args:
        source: The data, for the names of its classes.
        template: The sentence, with {} for the name.

    Raises:
        ValueError: the data have no classes, or the template has no place for their name.
    """

    statistic = FeatureStore

    def __init__(self, source: Source, template: str = "a photo of a {}") -> None:
        if not source.classes:
            raise ValueError("captions from class names need data with classes, got none")
        if "{}" not in template:
            raise ValueError(f"template must have {{}} in the place of the class, got {template!r}")
        self.template = template
        self._names: Sequence[str] = source.classes

    def of(self, store: FeatureStore) -> list[str]:
        """The sentences of the classes.

        Raises:
            ValueError: a class is missing or unknown.
        """
        label = store.label
        outside = [int(k) for k in label.unique() if not 0 <= k < len(self._names)]
        if outside:
            raise ValueError(f"captions from class names need labels in [0, {len(self._names)}), got {outside[0]}")
        return [self.template.format(self._names[k]) for k in label.tolist()]


Texts = Words | Tokenised
"""How captions become numbers."""


@runtime_checkable
class Captioned(Protocol):
    """Data with a caption for every picture, and how captions become numbers; None where they are not told."""

    captions: Texts | None

    def caption(self, index: int, split: str) -> str: ...


def of_captions(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Those metrics that need the captions of samples."""
    return {name: metric for name, metric in metrics.items() if issubclass(metric.statistic, OfCaptions)}


def require_told(metrics: Mapping[str, Metric], told: Mapping[str, object], words: Texts | None = None) -> None:
    """Refuse metrics of captions for samples that are drawn without, or under those of other words.

    Args:
        metrics: The metrics by name.
        told: What samples are drawn under, by name.
        words: How captions of the data become numbers that they are compared with; None where they have none.

    Raises:
        ValueError: captions are needed and not told, or are numbers of other words.
    """
    for name in of_captions(metrics):
        if "caption" not in told:
            raise ValueError(f"metrics must be without {name} for a model that is told no caption, got {name}")
        if words is not None and not words.reads(told["caption"]):
            raise ValueError(f"reference must have captions in the words that the model is told for {name}, got others")


class ToldCaptions:
    """The caption that every sample was drawn under; of real pictures their own.

    Args:
        source: The data whose captions the model is told.

    Raises:
        ValueError: the data have no captions.
    """

    statistic = CaptionedStore

    def __init__(self, source: Captioned) -> None:
        if not isinstance(source, Captioned) or source.captions is None:
            raise ValueError(f"source must have captions that a model is told, got {type(source).__name__} without")
        self._kind = source.captions

    def of(self, store: CaptionedStore) -> list[str]:
        """The captions in the words of the data."""
        return [self._kind.said(row) for row in store.caption]
