"""Whether generated images are of the class that was asked for, by a classifier."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.classifiers import classifier_of
from genexp.evaluation.jackknife import draws_of_mean
from genexp.evaluation.metrics.base import SHARE, Better, MetricKind, Value
from genexp.evaluation.summaries import FeatureStore, require_labels

_CHUNK = 1024


@dataclass(frozen=True)
class Examiner:
    """The classifier, and the share of real images that it recognises."""

    logits: Callable[[Tensor], Tensor]
    real: float


class Recognised:
    """The share of generated images that a classifier takes for the class which they were asked to be of.

    Higher is better. The share of real images, `real`, is what the classifier can do at all, and may be exceeded: one
    clear image a class, again and again, is recognised every time, so variety is not seen.

    Reference: the measure of Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs"
    (2017), section 4.1.

    Args:
        extractor: Features of a classifier of its own, or None for those of the evaluation.
    """

    values: ClassVar[dict[str, Better]] = {"recognised": "higher"}
    reacts: ClassVar[dict[str, str]] = {"noise": "worse", "blur": "worse"}
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "sets"

    def __init__(self, extractor: FeatureExtractor | None = None) -> None:
        self.extractor = extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Examiner:
        """Examine the real images.

        Raises:
            ValueError: the extractor does not classify, or labels are missing or more than its classes.
        """
        logits = classifier_of(extractor)
        return Examiner(logits, float(self._right(reference, logits).mean()))

    def compute(self, generated: FeatureStore, prepared: Examiner) -> dict[str, Value]:
        """The share.

        Raises:
            ValueError: images are without a label.
        """
        right = self._right(generated, prepared.logits)
        draws = draws_of_mean(right, generated.group)
        return {"recognised": Value(float(right.mean()), draws, {"real": prepared.real}, SHARE)}

    def _right(self, store: FeatureStore, logits: Callable[[Tensor], Tensor]) -> Tensor:
        require_labels("recognised", store)
        beliefs = torch.cat([logits(chunk).cpu() for chunk in store.features.split(_CHUNK)])
        if int(store.label.max()) >= beliefs.shape[1]:
            raise ValueError(
                f"recognised needs a classifier of all classes, got class {int(store.label.max())} and "
                f"{beliefs.shape[1]} classes"
            )
        return (beliefs.argmax(1) == store.label.cpu()).double()
