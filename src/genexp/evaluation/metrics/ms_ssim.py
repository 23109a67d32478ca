"""How alike generated images are to each other: the mean multi-scale structural similarity of random pairs."""

from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.whole_images import Images, whole_images_of
from genexp.evaluation.metrics.base import Better, OfSets, Value
from genexp.evaluation.pairing import chunk_of, mean_of_pairs, seeded_pairs, within
from genexp.evaluation.summaries import FeatureStore, require_labels
from genexp.losses.structural_similarity import SIGMA, fitting_scales, fitting_window, multi_scale_similarity


class MsSsimDiversity(OfSets):
    """Mean MS-SSIM over random pairs of generated images: the lower, the more diverse.

    The detail `real` is the value of the real images, which is what a good generator reaches. Traps: noise looks very
    diverse; a collapse onto m images adds one repeat in m pairs and no more; a single value cannot tell a missing class
    from narrow classes, so papers take it within classes (`within_classes`); images below 176 pixels have room for
    fewer than the five scales of the paper, and values of different scales or windows do not compare.

    References: Wang, Simoncelli and Bovik, "Multi-Scale Structural Similarity for Image Quality Assessment" (2003); as
    a measure of diversity by Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs"
    (2017).

    Args:
        extractor: The images, with their shape.
        pairs: Most pairs to look at, in all or in every class.
        seed: Seed of their choice.
        within_classes: Pair images of one class only and average the classes; details then name every class.
        scales: Number of scales, 1 to 5; None: as many as leave room for the window.
        window: Side of the window in pixels, odd; None: 11, or the largest that fits.
        sigma: Standard deviation of its Gaussian weights in pixels.
    """

    values: ClassVar[dict[str, Better]] = {"ms_ssim": "lower"}
    reacts: ClassVar[dict[str, str]] = {"collapse": "worse", "noise": "better", "blur": "worse"}

    def __init__(
        self,
        extractor: Images,
        pairs: int = 2000,
        seed: int = 0,
        within_classes: bool = False,
        scales: int | None = None,
        window: int | None = None,
        sigma: float = SIGMA,
    ) -> None:
        self.extractor = whole_images_of(type(self).__name__, extractor)
        if pairs < 1:
            raise ValueError(f"pairs must be at least 1, got {pairs}")
        self.pairs, self.seed, self.within_classes, self.sigma = pairs, seed, within_classes, sigma
        self.window = fitting_window(extractor.shape, window)
        self.scales = fitting_scales(extractor.shape, self.window, scales)

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> dict[str, float]:
        """The value of the real images, in all and by class.

        Raises:
            ValueError: the extractor is another than `Images`, there are too few images, or labels are missing.
        """
        whole_images_of(type(self).__name__, extractor)
        value = self._value(reference)
        return {"real": value.value} | {f"real_{name}": number for name, number in value.details.items()}

    def compute(self, generated: FeatureStore, prepared: dict[str, float]) -> dict[str, Value]:
        """The value of the generated images beside that of the real ones.

        Raises:
            ValueError: there are fewer than two images, or labels are needed and missing.
        """
        value = self._value(generated)
        return {"ms_ssim": Value(value.value, value.draws, value.details | prepared)}

    def _value(self, store: FeatureStore) -> Value:
        if not self.within_classes:
            return self._among(store, torch.arange(store.count))
        require_labels(type(self).__name__, store)
        members = {int(k): (store.label == k).nonzero().flatten() for k in store.label.unique()}
        found = {k: self._among(store, positions) for k, positions in members.items() if len(positions) > 1}
        if not found:
            raise ValueError(f"{type(self).__name__} needs a class with at least 2 images, got none")
        draws = [value.draws for value in found.values()]
        joined = [sum(column) / len(found) for column in zip(*draws, strict=True)] if all(draws) else []
        mean = sum(value.value for value in found.values()) / len(found)
        return Value(mean, tuple(joined), {f"class_{k}": value.value for k, value in found.items()})

    def _among(self, store: FeatureStore, positions: Tensor) -> Value:
        pairs = positions[seeded_pairs(len(positions), self.pairs, self.seed)]
        images = self.extractor.restored(store.features)
        measured = within(self._similarity, images, pairs, chunk_of(self.extractor.shape, 1 << 18))
        return mean_of_pairs(measured, pairs, store.group)

    def _similarity(self, first: Tensor, second: Tensor) -> Tensor:
        return multi_scale_similarity(first, second, self.scales, self.window, self.sigma)
