"""Distances between images as networks see them: to real partners, and among generated images as diversity."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.perceptual_networks import LpipsDistance, MapDistance, NamedMaps
from genexp.evaluation.extractors.whole_images import Images, require_images
from genexp.evaluation.metrics.base import DISTANCE, Better, MetricKind, Value
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


class Lpips:
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
    reacts: ClassVar[dict[str, str]] = {}
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "pairs"

    def __init__(
        self, extractor: Images, net: Net = "alex", weights: WeightsFile | None = None, digest: str | None = None
    ) -> None:
        self.extractor = require_images(type(self).__name__, extractor)
        self._distance = LpipsDistance(net, weights, digest)
        self.net, self.digest = net, self._distance.digest

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> FeatureStore:
        """The real images.

        Raises:
            ValueError: the extractor is another than `Images`, or its images are too small.
        """
        return _checked(self, self._distance, reference, extractor, least=1)

    def compute(self, generated: FeatureStore, prepared: FeatureStore) -> dict[str, Value]:
        """The mean over all pairs.

        Raises:
            ValueError: there are not as many generated as real images, or their indices differ.
        """
        return {"lpips": _paired(self, self._distance, generated, prepared)}


class LpipsDiversity:
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
    reacts: ClassVar[dict[str, str]] = {}  # the nets cannot look at images as small as the canaries
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "sets"

    def __init__(
        self,
        extractor: Images,
        pairs: int = 1000,
        seed: int = 0,
        net: Net = "alex",
        weights: WeightsFile | None = None,
        digest: str | None = None,
    ) -> None:
        self.extractor, self.pairs, self.seed = require_images(type(self).__name__, extractor), pairs, seed
        self._distance = LpipsDistance(net, weights, digest)
        self.net, self.digest = net, self._distance.digest

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> float:
        """The value of the real images.

        Raises:
            ValueError: the extractor is another than `Images`, its images are too small, or fewer than two.
        """
        return _diversity(self, self._distance, _checked(self, self._distance, reference, extractor, least=2)).value

    def compute(self, generated: FeatureStore, prepared: float) -> dict[str, Value]:
        """The mean over pairs of generated images.

        Raises:
            ValueError: there are fewer than two images.
        """
        return {"lpips_diversity": _diversity(self, self._distance, generated, {"real": prepared})}


class PerceptualDistance:
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
    reacts: ClassVar[dict[str, str]] = {}
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "pairs"

    def __init__(self, extractor: Images, network: NamedMaps, layers: Sequence[str] = LAYERS) -> None:
        self.extractor = require_images(type(self).__name__, extractor)
        self._distance = MapDistance(network, layers)
        self.layers, self.digest = " ".join(layers), self._distance.digest

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> FeatureStore:
        """The real images.

        Raises:
            ValueError: the extractor is another than `Images`, or the network refuses its images.
        """
        return _checked(self, self._distance, reference, extractor, least=1)

    def compute(self, generated: FeatureStore, prepared: FeatureStore) -> dict[str, Value]:
        """The mean over all pairs.

        Raises:
            ValueError: there are not as many generated as real images, or their indices differ.
        """
        return {"perceptual": _paired(self, self._distance, generated, prepared)}


class PerceptualDiversity:
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
    reacts: ClassVar[dict[str, str]] = {}  # they depend on the network
    statistic = FeatureStore
    kind: ClassVar[MetricKind] = "sets"

    def __init__(
        self, extractor: Images, network: NamedMaps, layers: Sequence[str] = LAYERS, pairs: int = 1000, seed: int = 0
    ) -> None:
        self.extractor, self.pairs, self.seed = require_images(type(self).__name__, extractor), pairs, seed
        self._distance = MapDistance(network, layers)
        self.layers, self.digest = " ".join(layers), self._distance.digest

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> float:
        """The value of the real images.

        Raises:
            ValueError: the extractor is another than `Images`, the network refuses its images, or there are too few.
        """
        return _diversity(self, self._distance, _checked(self, self._distance, reference, extractor, least=2)).value

    def compute(self, generated: FeatureStore, prepared: float) -> dict[str, Value]:
        """The mean over pairs of generated images.

        Raises:
            ValueError: there are fewer than two images.
        """
        return {"perceptual_diversity": _diversity(self, self._distance, generated, {"real": prepared})}


Paired = Lpips | PerceptualDistance
Diversity = LpipsDiversity | PerceptualDiversity


def _checked(
    metric: Paired | Diversity, distance: Distance, reference: FeatureStore, extractor: FeatureExtractor, least: int
) -> FeatureStore:
    require_images(type(metric).__name__, extractor)
    if reference.count < least:
        raise ValueError(f"{type(metric).__name__} needs at least {least} real images, got {reference.count}")
    first: Tensor = metric.extractor.restored(reference.features[:1])
    distance(first, first)  # the network refuses here what it cannot look at
    return reference


def _paired(metric: Paired, distance: Distance, generated: FeatureStore, reference: FeatureStore) -> Value:
    require_matched(type(metric).__name__, generated, reference)
    first, second = metric.extractor.restored(generated.features), metric.extractor.restored(reference.features)
    return replace(mean_of(between(distance, first, second, CHUNK), generated.group), limits=DISTANCE)


def _diversity(
    metric: Diversity, distance: Distance, store: FeatureStore, details: dict[str, float] | None = None
) -> Value:
    pairs = seeded_pairs(store.count, metric.pairs, metric.seed)
    measured = within(distance, metric.extractor.restored(store.features), pairs, CHUNK)
    return replace(mean_of_pairs(measured, pairs, store.group, details), limits=DISTANCE)
