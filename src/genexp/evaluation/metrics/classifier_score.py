"""Classifier score: the form of the Inception score over any features that a classifier was read from."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Self

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.dealing import GROUPS, random_parts
from genexp.evaluation.extractors.classifiers import classifier_of
from genexp.evaluation.jackknife import draws_of_sums, groups_to_leave_out
from genexp.evaluation.metrics.base import Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore

_CHUNK = 1024


@dataclass(frozen=True)
class Beliefs:
    """Sums over parts of a set of images of what a classifier believes.

    Args:
        sums: By part (P, C + 2): the sum of class probabilities, the sum of p log p, and the number of images.
    """

    sums: Tensor

    @classmethod
    def of(cls, features: Tensor, part: Tensor, parts: int, logits: Callable[[Tensor], Tensor]) -> Self:
        """Beliefs about features (N, D) of which row i belongs to part (N,) i."""
        sums = None
        for chunk, number in zip(features.split(_CHUNK), part.split(_CHUNK), strict=True):
            log_p = logits(chunk).double().log_softmax(1)
            p = log_p.exp()
            rows = torch.cat([p, (p * log_p).sum(1, keepdim=True), torch.ones_like(p[:, :1])], dim=1)
            if sums is None:
                sums = torch.zeros(parts, rows.shape[1], dtype=torch.float64)
            sums.index_add_(0, number, rows)
        return cls(sums)


def score_of(sums: Tensor) -> float:
    """exp of the mean divergence KL(p_i || mean p), from sums (C + 2,): entropy of the mean less the mean entropy."""
    marginal, certainty = sums[:-2] / sums[-1], sums[-2] / sums[-1]
    return float((certainty - torch.xlogy(marginal, marginal).sum()).exp())


@dataclass(frozen=True)
class ScoredReference:
    """The classifier, and the score of the real images by it."""

    logits: Callable[[Tensor], Tensor]
    score: float


class ClassifierScore(OfSets):
    r"""exp of the mean KL(p(y | x) || p(y)): are single images of a clear class, and all classes equally frequent?

    It lies between 1 and the number of classes. Over the official Inception (`metrics=classifier_score` with
    `extractor` Inception, logits without bias) and `splits=10` it is the Inception score of the literature.

    Higher is better. Traps: it never looks at the real images, whose own score is given as `real` and may be exceeded;
    one image a class reaches the maximum, so variety within a class is not seen; images from outside the classifier's
    world get arbitrary values; fewer images or more splits lower it.

    Reference: Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, "Improved Techniques for Training GANs" (2016).

    Args:
        splits: Random parts of equal size, fixed by the samples' indices, that are scored by themselves and averaged;
            the papers take 10. Their spread is given as `split_std`. In the order of the files, classes one after the
            other would leave one class to a part.
        extractor: Features of its own, or None for those of the evaluation.

    Raises:
        ValueError: `splits` is below 1.
    """

    values: ClassVar[dict[str, Better]] = {"classifier_score": "higher"}
    reacts: ClassVar[dict[str, str]] = {
        "collapse": "worse",
        "missing_class": "worse",
        "noise": "worse",
        "blur": "worse",
        "jpeg": "worse",
    }

    def __init__(self, splits: int = 1, extractor: FeatureExtractor | None = None) -> None:
        if splits < 1:
            raise ValueError(f"splits must be at least 1, got {splits}")
        self.splits, self.extractor = splits, extractor
        if splits > 1:
            self.parts = "random"  # part of the protocol: values of contiguous parts are others

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> ScoredReference:
        """Score the real images.

        Raises:
            ValueError: the extractor does not classify, or there are fewer real images than splits.
        """
        logits = classifier_of(extractor)
        return ScoredReference(logits, self._scores(reference, logits)[0])

    def compute(self, generated: FeatureStore, prepared: ScoredReference) -> dict[str, Value]:
        """The score; pseudo-values with one split only.

        Raises:
            ValueError: there are fewer generated images than splits.
        """
        value, details = self._scores(generated, prepared.logits)
        draws: tuple[float, ...] = ()
        if self.splits == 1 and groups_to_leave_out(generated.group):
            beliefs = Beliefs.of(generated.features, generated.group, GROUPS, prepared.logits)
            sizes = beliefs.sums[:, -1].long().tolist()
            draws = draws_of_sums(beliefs.sums.sum(0), beliefs.sums, score_of, sizes)
        return {"classifier_score": Value(value, draws, {"real": prepared.score} | details, (1.0, inf))}

    def _scores(self, store: FeatureStore, logits: Callable[[Tensor], Tensor]) -> tuple[float, dict[str, float]]:
        if store.count < self.splits:
            raise ValueError(f"a score of {self.splits} splits needs as many images, got {store.count}")
        part = random_parts(store.index, self.splits)
        beliefs = Beliefs.of(store.features, part, self.splits, logits)
        scores = torch.tensor([score_of(sums) for sums in beliefs.sums], dtype=torch.float64)
        details = {"split_std": float(scores.std(correction=0))} if self.splits > 1 else {}
        return float(scores.mean()), details
