"""How well images fit their captions."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from genexp.contracts import FeatureExtractor
from genexp.evaluation.captions import Captions
from genexp.evaluation.extractors.clip_features import ClipFeatures
from genexp.evaluation.metrics.base import Better, OfSets, Value
from genexp.evaluation.pairing import mean_of
from genexp.evaluation.protocol import describe
from genexp.evaluation.summaries import FeatureStore

CHUNK = 64


class ClipScore(OfSets):
    """100 times the cosine of CLIP's embeddings of an image and of its caption, averaged over the images.

    Higher is better. The detail `real` is the value of the real images with their captions: on small or drawn images
    it can be low, and differences to it are what to read. Traps: it does not count objects or tell left from right; it
    rewards images like those of CLIP's training set; models trained with CLIP's guidance exceed real images; negative
    cosines are kept, whereas Hessel et al. clip them and multiply by 2.5.

    Reference: Hessel, Holtzman, Forbes, Le Bras and Choi, "CLIPScore: A Reference-free Evaluation Metric for Image
    Captioning" (2021).

    Args:
        extractor: CLIP.
        captions: What every sample should show.
    """

    values: ClassVar[dict[str, Better]] = {"clip_score": "higher"}
    reacts: ClassVar[dict[str, str]] = {}  # digits without CLIP's weights tell nothing

    def __init__(self, extractor: ClipFeatures, captions: Captions) -> None:
        self.extractor = _require_clip(extractor)
        self.captions, self._captions, self.statistic = describe(captions), captions, captions.statistic

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> float:
        """The value of the real images.

        Raises:
            ValueError: the extractor is another than CLIP, there are no images, or they have no captions.
        """
        _require_clip(extractor)
        return float(self._scores(reference).double().mean())

    def compute(self, generated: FeatureStore, prepared: float) -> dict[str, Value]:
        """The mean over generated images.

        Raises:
            ValueError: there are no images, or they have no captions.
        """
        return {"clip_score": mean_of(self._scores(generated), generated.group, {"real": prepared})}

    def _scores(self, store: FeatureStore) -> Tensor:
        if store.count == 0:
            raise ValueError("ClipScore needs at least 1 image, got 0")
        captions = self._captions.of(store)
        texts = sorted(set(captions))
        row = {text: i for i, text in enumerate(texts)}
        parts = [self.extractor.text(texts[begin : begin + CHUNK]) for begin in range(0, len(texts), CHUNK)]
        embedded = torch.cat(parts).float().cpu()
        rows = torch.tensor([row[caption] for caption in captions])
        return 100 * cosine_similarity(store.features, embedded[rows])


def _require_clip(extractor: FeatureExtractor) -> ClipFeatures:
    if not isinstance(extractor, ClipFeatures):
        raise ValueError(f"ClipScore needs the extractor ClipFeatures, got {type(extractor).__name__}")
    return extractor
