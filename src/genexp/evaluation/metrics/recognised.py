"""Whether generated images are of the class that was asked for, by a classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.classifiers import classifier_of
from genexp.evaluation.jackknife import draws_of_mean
from genexp.evaluation.metrics.base import SHARE, Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore, require_labels

_CHUNK = 1024


@dataclass(frozen=True)
class Examiner:
    """The classifier, and the share of real images that it recognises."""

    logits: Callable[[Tensor], Tensor]
    real: float


class Recognised(OfSets):
    """The share of generated images that a classifier takes for the class which they were asked to be of.

    Higher is better. The share of real images, `real`, is what the classifier can do at all, and may be exceeded: one
    clear image a class, again and again, is recognised every time, so variety is not seen.

    Reference: the measure of Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs"
    (2017), section 4.1.

    Args:
        extractor: Features of a classifier of its own, or None for those of the evaluation.
        labels: The classifier's number of every class, where the data are of some classes alone (`data.classes`); None
            where both count alike.
    """

    values: ClassVar[dict[str, Better]] = {"recognised": "higher"}
    reacts: ClassVar[dict[str, str]] = {"noise": "worse", "blur": "worse"}

    def __init__(self, extractor: FeatureExtractor | None = None, labels: Sequence[int] | None = None) -> None:
        self.extractor = extractor
        self.labels = None if labels is None else torch.tensor(list(labels))

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Examiner:
        """Examine the real images.

        Raises:
            ValueError: the extractor does not classify, or labels are missing or more than its classes; or it knows
                real images no better than by chance, so that its classes are others.
        """
        logits = classifier_of(extractor)
        real, classes = float(self._right(reference, logits).mean()), len(reference.label.unique())
        if real * classes <= 1 < classes:
            raise ValueError(
                f"recognised needs a classifier of these {classes} classes, got one that recognises {real:.1%} of real "
                "images; of some classes of a data set, metrics.recognised.labels are their numbers in the whole set"
            )
        return Examiner(logits, real)

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
        label = store.label.cpu()
        if self.labels is not None and int(label.max()) >= len(self.labels):
            raise ValueError(f"labels must have all {int(label.max()) + 1} classes, got {self.labels.tolist()}")
        label = label if self.labels is None else self.labels[label]
        if int(label.max()) >= beliefs.shape[1]:
            raise ValueError(
                f"recognised needs a classifier of all classes, got class {int(label.max())} and "
                f"{beliefs.shape[1]} classes"
            )
        return (beliefs.argmax(1) == label).double()
