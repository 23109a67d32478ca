"""Features of classifiers that this project trained and ships, and what extractor classifies."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.frozen import features_in_pieces, require_channels
from genexp.evaluation.extractors.resizing import resized
from genexp.networks.shipped_networks import trained_with_card
from genexp.sample_kinds import SampleKind
from genexp.shipped import ASSETS

_PIECE = 64
"""Images that a CPU takes at a time: the maps of so many, channels last, stay in its caches."""


@runtime_checkable
class HasFeatures(Protocol):
    """A module that classifies images (B, channels, H, W): `features` (B, num_features), class logits by its `head`."""

    channels: int
    num_features: int
    head: nn.Module

    def features(self, image: Tensor) -> Tensor: ...


class Penultimate:
    """The penultimate layer of a classifier.

    Args:
        network: The classifier, in evaluation mode; a module.
        image_size: Side in pixels that images are brought to.
        name: What the features are called.
        digest: That of the network's weights.
    """

    resize = "torch_antialias"

    def __init__(self, network: HasFeatures, image_size: int, name: str, digest: str) -> None:
        self.network, self.image_size, self.name, self.digest = network, image_size, name, digest
        self.channels, self.dimensions = network.channels, network.num_features

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions); images of another size are brought to the classifier's first.

        A network of colour pictures sees grey ones as colour pictures of three equal channels.
        """
        if self.channels == 3 and SampleKind.IMAGES.has(image) and image.shape[1] == 1:
            image = image.expand(-1, 3, -1, -1)
        require_channels(self.name, image, self.channels)
        image = resized(image, self.image_size, self.resize)
        return features_in_pieces(self.network, image, _PIECE)

    def logits(self, features: Tensor) -> Tensor:
        """Class logits (B, num_classes) of feature vectors (B, dimensions)."""
        return self.network.to(features.device).head(features)


class ClassifierFeatures(Penultimate):
    """The penultimate layer of a classifier that this project trained and ships.

    Args:
        asset: Name of the shipped weights: `digits_classifier`, `shapes_classifier` or `cifar_vgg`.
        folder: Where they lie.

    Raises:
        FileNotFoundError: there is no such asset.
        WrongDigest: the weights are not those of their card.
    """

    def __init__(self, asset: str, folder: str | Path = ASSETS) -> None:
        network, self.card = trained_with_card(asset, folder)
        super().__init__(network, self.card["image_size"], asset, self.card["sha256"])


class StackedDigitFeatures:
    """The digits classifier on each of three channels, for `data=stacked_digits`: 3 x 64 features, 1,000 classes.

    Class 100 a + 10 b + c means that red, green and blue show the digits a, b and c, as the data set labels them; its
    probability is the product of the three.

    Args:
        asset: Name of the shipped weights of a one-channel classifier with ten classes.
        folder: Where they lie.

    Raises:
        FileNotFoundError: there is no such asset.
        WrongDigest: the weights are not those of their card.
        ValueError: it is no one-channel classifier with ten classes.
    """

    name = "stacked_digits"
    channels = 3

    def __init__(self, asset: str = "digits_classifier", folder: str | Path = ASSETS) -> None:
        self.digits = ClassifierFeatures(asset, folder)
        shape = (self.digits.channels, self.digits.card["network"]["num_classes"])
        if shape != (1, 10):
            raise ValueError(f"asset must classify 1 channel into 10 classes, got {shape[0]} into {shape[1]}")
        self.image_size, self.resize = self.digits.image_size, self.digits.resize
        self.dimensions = self.channels * self.digits.dimensions
        self.digest = hashlib.sha256(f"{self.name} {self.digits.digest}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, 3 * 64): those of the red, the green and the blue digit."""
        require_channels(self.name, image, self.channels)
        return self.digits(image.flatten(0, 1)[:, None]).reshape(len(image), self.dimensions)

    def logits(self, features: Tensor) -> Tensor:
        """Logarithms of the class probabilities (B, 1000) of feature vectors (B, 3 * 64)."""
        single = self.digits.logits(features.reshape(-1, self.digits.dimensions)).log_softmax(1)
        red, green, blue = single.reshape(len(features), self.channels, -1).unbind(1)
        return (red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]).flatten(1)


@runtime_checkable
class Classifies(Protocol):
    """An extractor from whose features classes are read."""

    def logits(self, features: Tensor) -> Tensor: ...


def classifier_of(extractor: FeatureExtractor) -> Callable[[Tensor], Tensor]:
    """The map from an extractor's features (B, D) to class logits (B, num_classes).

    Raises:
        ValueError: the extractor does not classify.
    """
    with suppress(AttributeError):  # of a layer of Inception that no classes are read from
        if isinstance(extractor, Classifies):
            return extractor.logits
    raise ValueError(
        f"extractor must classify (have a method `logits`), got {extractor.name}: take a classifier such as "
        "extractor=digits_classifier, or Inception with features=2048"
    )
