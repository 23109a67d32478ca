"""Distances between images as networks see them: to real partners, and among generated images as diversity."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.perceptual_networks import LpipsDistance, MapDistance, NamedMaps
from genexp.evaluation.extractors.whole_images import Images, whole_images_of
from genexp.evaluation.metrics.base import DISTANCE, Better, MetricKind, OfSets, Value
from genexp.evaluation.pairing import (
    Distance,
    between,
    mean_of,
    mean_of_pairs,
    require_matched,
    seeded_pairs,
    within,
)
from genexp.evaluation.summaries import FeatureStore
from genexp.on_disk import OnDisk

LAYERS = ("relu1_1", "relu2_2", "relu3_2", "relu4_1")
CHUNK = 16
"""Pairs that go through a network at a time."""


Net = Literal["alex", "vgg", "squeeze"]
WeightsFile = Annotated[str, OnDisk("file")]


class _Images(OfSets):
    """What the metrics of a distance between images share."""

    # It depends on the network, and those of LPIPS see no images as small as canaries.
    reacts: ClassVar[dict[str, str]] = {}
    extractor: Images
    _distance: Distance

    def _checked(self, reference: FeatureStore, extractor: FeatureExtractor, least: int) -> FeatureStore:
        whole_images_of(type(self).__name__, extractor)
        if reference.count < least:
            raise ValueError(f"{type(self).__name__} needs at least {least} real images, got {reference.count}")
        first: Tensor = self.extractor.restored(reference.features[:1])
        self._distance(first, first)  # the network refuses here what it cannot look at
        return reference


class _Paired(_Images):
    kind: ClassVar[MetricKind] = "pairs"

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> FeatureStore:
        """The real images.

        Raises:
            ValueError: the extractor is another than `Images`, or the network refuses its images.
        """
        return self._checked(reference, extractor, least=1)

    def compute(self, generated: FeatureStore, prepared: FeatureStore) -> dict[str, Value]:
        """The mean over all pairs.

        Raises:
            ValueError: there are not as many generated as real images, or their indices differ.
        """
        require_matched(type(self).__name__, generated, prepared)
        first, second = self.extractor.restored(generated.features), self.extractor.restored(prepared.features)
        mean = mean_of(between(self._distance, first, second, CHUNK), generated.group)
        return {name: replace(mean, limits=DISTANCE) for name in self.values}


class _Diversity(_Images):
    pairs: int
    seed: int

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> float:
        """The value of the real images.

        Raises:
            ValueError: the extractor is another than `Images`, the network refuses its images, or there are too few.
        """
        return self._over_pairs(self._checked(reference, extractor, least=2)).value

    def compute(self, generated: FeatureStore, prepared: float) -> dict[str, Value]:
        """The mean over pairs of generated images.

        Raises:
            ValueError: there are fewer than two images.
        """
        return {name: self._over_pairs(generated, {"real": prepared}) for name in self.values}

    def _over_pairs(self, store: FeatureStore, details: dict[str, float] | None = None) -> Value:
        pairs = seeded_pairs(store.count, self.pairs, self.seed)
        measured = within(self._distance, self.extractor.restored(store.features), pairs, CHUNK)
        return replace(mean_of_pairs(measured, pairs, store.group, details), limits=DISTANCE)


class Lpips(_Paired):
    """LPIPS between generated image i and real image i, averaged over the images; lower is closer.

    For models that answer to a given image. Traps: values of different nets do not compare; it says nothing about the
    distribution; images of 32 pixels leave the deepest maps a single position.

    Reference: Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric" (2018).

    Args:
        extractor: The images, with their shape.
        net: `alex`, `vgg` or `squeeze`.
        weights: Path of the backbone's torchvision state dict, or None for torchvision's ImageNet weights.
        digest: First digits that the SHA-256 of the backbone's file must have, or None.
    """

    values: ClassVar[dict[str, Better]] = {"lpips": "lower"}

    def __init__(
        self, extractor: Images, net: Net = "alex", weights: WeightsFile | None = None, digest: str | None = None
    ) -> None:
        self.extractor = whole_images_of(type(self).__name__, extractor)
        self._distance = LpipsDistance(net, weights, digest)
        self.net, self.digest = net, self._distance.digest


class LpipsDiversity(_Diversity):
    """Mean LPIPS over random pairs of generated images: the higher, the more diverse.

    The detail `real` is the value of the real images, which is what a good generator reaches. Traps: noise looks very
    diverse; a missing class hardly shows, and neither does a collapse onto m images: only one pair in m is a repeat.

    References: Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric" (2018); as a measure of diversity by Zhu et al., "Toward Multimodal Image-to-Image Translation"
    (2017).

    Args:
        extractor: The images, with their shape.
        pairs: Most pairs to look at.
        seed: Seed of their choice.
        net: `alex`, `vgg` or `squeeze`.
        weights: Path of the backbone's torchvision state dict, or None for torchvision's ImageNet weights.
        digest: First digits that the SHA-256 of the backbone's file must have, or None.
    """

    values: ClassVar[dict[str, Better]] = {"lpips_diversity": "higher"}

    def __init__(
        self,
        extractor: Images,
        pairs: int = 1000,
        seed: int = 0,
        net: Net = "alex",
        weights: WeightsFile | None = None,
        digest: str | None = None,
    ) -> None:
        self.extractor, self.pairs, self.seed = whole_images_of(type(self).__name__, extractor), pairs, seed
        self._distance = LpipsDistance(net, weights, digest)
        self.net, self.digest = net, self._distance.digest


class PerceptualDistance(_Paired):
    """Distance of the feature maps of generated image i and real image i, averaged over the images; lower is closer.

    It works with any network that names its maps, such as the one shipped for images of 32 pixels, and is not LPIPS:
    the maps count alike and nothing was fitted to human judgements. Traps: those of LPIPS.

    Reference: Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric" (2018), whose unfitted baseline this is.

    Args:
        extractor: The images, with their shape.
        network: Gives named maps.
        layers: Names of the maps to compare.
    """

    values: ClassVar[dict[str, Better]] = {"perceptual": "lower"}

    def __init__(self, extractor: Images, network: NamedMaps, layers: Sequence[str] = LAYERS) -> None:
        self.extractor = whole_images_of(type(self).__name__, extractor)
        self._distance = MapDistance(network, layers)
        self.layers, self.digest = " ".join(layers), self._distance.digest


class PerceptualDiversity(_Diversity):
    """Mean distance of the feature maps of random pairs of generated images: the higher, the more diverse.

    The detail `real` is the value of the real images, which is what a good generator reaches. Not LPIPS, for the
    reasons that `PerceptualDistance` gives. Traps: those of `LpipsDiversity`; with a small network on small images a
    collapse onto 20 images goes unseen.

    Args:
        extractor: The images, with their shape.
        network: Gives named maps.
        layers: Names of the maps to compare.
        pairs: Most pairs to look at.
        seed: Seed of their choice.
    """

    values: ClassVar[dict[str, Better]] = {"perceptual_diversity": "higher"}

    def __init__(
        self, extractor: Images, network: NamedMaps, layers: Sequence[str] = LAYERS, pairs: int = 1000, seed: int = 0
    ) -> None:
        self.extractor, self.pairs, self.seed = whole_images_of(type(self).__name__, extractor), pairs, seed
        self._distance = MapDistance(network, layers)
        self.layers, self.digest = " ".join(layers), self._distance.digest
