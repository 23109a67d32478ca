"""Images to feature vectors. Extractors are frozen, live outside the trained model, and carry their weights' digest."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from genexp.contracts import FeatureExtractor
from genexp.evaluation.resizing import resized
from genexp.networks.trained import trained_with_card
from genexp.shipped import ASSETS


class Pixels:
    """The pixels themselves as features: no network at all.

    Args:
        channels: Channels of the images.
        image_size: Side that images are brought to first, in pixels; keep channels * image_size^2 well below the number
            of images, or the covariance cannot be estimated.
    """

    name = "pixels"

    def __init__(self, channels: int, image_size: int = 8) -> None:
        if image_size < 1:
            raise ValueError(f"image_size must be at least 1 pixel, got {image_size}")
        self.channels, self.image_size = channels, image_size
        self.dimensions = channels * image_size**2
        self.resize = "torch_antialias"
        self.digest = hashlib.sha256(f"pixels {channels} {image_size}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, channels * image_size^2)."""
        require_channels(self.name, image, self.channels)
        return resized(image, self.image_size, self.resize).flatten(1)


class Coordinates:
    """The coordinates of points (B, dimensions) as features, for point data.

    Args:
        dimensions: Coordinates of a point.
    """

    name = "coordinates"
    image_size = None
    resize = "none"

    def __init__(self, dimensions: int = 2) -> None:
        self.dimensions = dimensions
        self.digest = hashlib.sha256(f"coordinates {dimensions}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """The points themselves."""
        return image


class RandomFeatures:
    """A convolutional network with fixed random weights: sensitive to local texture and rough layout, not to meaning.

    The weights are uniform numbers of a seeded generator, equal on every machine, scaled by the number of inputs of a
    unit. Three stages (3 x 3 convolution, leaky ReLU, 2 x 2 average pooling) end in the mean and the standard deviation
    of every channel over the positions.

    Args:
        channels: Channels of the images.
        width: Channels of every stage; the features are twice as many.
        seed: Seed of the weights.
    """

    name = "random"
    image_size = None
    resize = "none"

    def __init__(self, channels: int, width: int = 32, seed: int = 0) -> None:
        self.channels, self.dimensions = channels, 2 * width
        layers: list[nn.Module] = []
        generator = torch.Generator().manual_seed(seed)
        inputs = channels
        for stage in range(3):
            convolution = skip_init(nn.Conv2d, inputs, width, 3, padding=1, padding_mode="reflect")
            bound = (6 / (inputs * 9)) ** 0.5
            for parameter in convolution.parameters():
                parameter.data = (2 * torch.rand(parameter.shape, generator=generator) - 1) * bound
            layers += [convolution, nn.LeakyReLU(0.2)]
            layers += [nn.AvgPool2d(2)] if stage < 2 else []
            inputs = width
        self.network = frozen(nn.Sequential(*layers))
        self.digest = digest_of(self.network)

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, 2 * width) of images of any size from 8 x 8."""
        require_channels(self.name, image, self.channels)
        maps = self.network.to(image.device)(image).flatten(2)
        return torch.cat([maps.mean(2), maps.std(2)], dim=1)


_PIECE = 64
"""Images that a CPU takes at a time: the maps of so many, channels last, stay in its caches."""


class ClassifierFeatures:
    """The penultimate layer of a classifier that this project trained and ships.

    Args:
        asset: Name of the shipped weights: `digits_classifier`, `shapes_classifier` or `cifar_vgg`.
        folder: Where they lie.

    Raises:
        FileNotFoundError: there is no such asset.
        WrongDigest: the weights are not those of their card.
    """

    resize = "torch_antialias"

    def __init__(self, asset: str, folder: str | Path = ASSETS) -> None:
        self.network, self.card = trained_with_card(asset, folder)
        self.name, self.digest = asset, self.card["sha256"]
        self.channels, self.image_size = self.network.channels, self.card["image_size"]
        self.dimensions = self.network.num_features

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions); images of another size are brought to the classifier's first.

        A network of colour pictures sees grey ones as colour pictures of three equal channels.
        """
        if self.channels == 3 and image.ndim == 4 and image.shape[1] == 1:
            image = image.expand(-1, 3, -1, -1)
        require_channels(self.name, image, self.channels)
        image = resized(image, self.image_size, self.resize)
        if image.device.type != "cpu":
            return self.network.to(image.device, memory_format=torch.contiguous_format).features(image)
        network = self.network.to(image.device, memory_format=torch.channels_last)
        pieces = image.contiguous(memory_format=torch.channels_last).split(_PIECE)
        return torch.cat([network.features(piece) for piece in pieces])

    def logits(self, features: Tensor) -> Tensor:
        """Class logits (B, num_classes) of feature vectors (B, dimensions)."""
        return self.network.to(features.device).head(features)


class StackedDigits:
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


def classifier_of(extractor: FeatureExtractor) -> Callable[[Tensor], Tensor]:
    """The map from an extractor's features (B, D) to class logits (B, num_classes).

    Raises:
        ValueError: the extractor does not classify.
    """
    logits = getattr(extractor, "logits", None)
    if logits is None:
        raise ValueError(
            f"extractor must classify (have a method `logits`), got {extractor.name}: take a classifier such as "
            "extractor=digits_classifier, or Inception with features=2048"
        )
    return logits


def frozen(network: nn.Module) -> nn.Module:
    """Put a network into evaluation mode for good, without gradients."""
    return network.eval().requires_grad_(False)


def require_channels(name: str, image: Tensor, channels: int) -> None:
    """Check the images of an extractor.

    Raises:
        ValueError: they are not (B, `channels`, H, W).
    """
    if image.ndim != 4 or image.shape[1] != channels:
        raise ValueError(
            f"extractor {name} takes images (B, {channels}, H, W), got {tuple(image.shape)}; "
            "extractor=random and extractor=pixels take any number of channels"
        )


def digest_of(network: nn.Module) -> str:
    """SHA-256 over the names, shapes and bytes of a network's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
