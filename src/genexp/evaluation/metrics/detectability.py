"""How easily generated images are told from real ones by their spatial frequencies alone."""

from typing import ClassVar

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.metrics.base import SHARE, Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore

LEAST = 50


class Detector:
    """A classifier of features into real and generated: logistic regression on them, their squares and products.

    Args:
        real: Features (N, D) of real images.
        generated: Features (M, D) of generated ones; both kinds count as much.

    Raises:
        ValueError: there are fewer than `LEAST` of one kind.
    """

    def __init__(self, real: Tensor, generated: Tensor) -> None:
        for name, features in (("real", real), ("generated", generated)):
            if len(features) < LEAST:
                raise ValueError(f"a detector learns from at least {LEAST} {name} images, got {len(features)}")
        regression = LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced")
        self._told: Pipeline = make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), regression)
        features, kinds = torch.cat([real, generated]).double(), np.repeat([0, 1], [len(real), len(generated)])
        self._told.fit(features.numpy(), kinds)

    def __call__(self, features: Tensor) -> Tensor:
        """How far images (B, D) look generated, in log odds (B,)."""
        return torch.from_numpy(self._told.decision_function(features.double().numpy()))

    def auroc(self, real: Tensor, generated: Tensor) -> float:
        """How often a generated image looks more so than a real one: 1 for a perfect detector, 0.5 for chance."""
        kinds = np.repeat([0, 1], [len(real), len(generated)])
        return float(roc_auc_score(kinds, self(torch.cat([real, generated])).numpy()))


class Detectability(OfSets):
    """`detectability`: the AUROC of a detector of generated images that has learned from others of the same model.

    Each half of the generated and of the real images is judged by a detector that has learned from the other half; the
    value is the mean of both. Lower is better: 0.5 is chance, which real images among themselves reach, 1 means
    that every generated image is told. Traps: it tells how well *this* model is told by one who has its images, not how
    well a detector of other models does (docs/safety.md has that table); features that see only averages over
    directions miss much; a detector of few images learns little, so compare values of equal numbers.

    References: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests" (2017); Durall, Keuper and Keuper, "Watch
    your Up-Convolution: CNN Based Generative Deep Neural Networks are Failing to Reproduce Spectral Distributions"
    (2020), section 3, for the detector.

    Args:
        extractor: The spectra, or other features of its own; None for those of the evaluation.
        most: Images of each kind that are used at most.

    Raises:
        ValueError: `most` is too small to learn from.
    """

    values: ClassVar[dict[str, Better]] = {"detectability": "lower"}
    reacts: ClassVar[dict[str, str]] = {"noise": "worse", "blur": "worse", "jpeg": "worse"}

    def __init__(self, extractor: FeatureExtractor | None = None, most: int = 5000) -> None:
        if most < 2 * LEAST:
            raise ValueError(f"most must be at least {2 * LEAST} images, got {most}")
        self.extractor, self.most = extractor, most

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Tensor:
        """The features of the real images.

        Raises:
            ValueError: there are too few.
        """
        return self._some(reference, "real")

    def compute(self, generated: FeatureStore, prepared: Tensor) -> dict[str, Value]:
        """The AUROC.

        Raises:
            ValueError: there are too few generated images.
        """
        made = self._some(generated, "generated")
        halves = [(prepared[side::2], made[side::2]) for side in (0, 1)]
        found = [Detector(*halves[side]).auroc(*halves[1 - side]) for side in (0, 1)]
        details = {"halves_apart": abs(found[0] - found[1])}
        return {"detectability": Value(sum(found) / 2, (), details, SHARE)}

    def _some(self, store: FeatureStore, kind: str) -> Tensor:
        if store.count < 2 * LEAST:
            raise ValueError(f"detectability needs at least {2 * LEAST} {kind} images, got {store.count}")
        return store.features[: self.most]
