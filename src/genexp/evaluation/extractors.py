"""Images to feature vectors. Extractors are frozen, live outside the trained model, and carry their weights' digest."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils import skip_init

from genexp.networks.classifier import ConvClassifier
from genexp.shipped import ASSETS, load_asset


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
        return resized(image, self.image_size).flatten(1)


class Coordinates:
    """The coordinates of points (B, dimensions) as features, for point data.

    Args:
        dimensions: Coordinates of a point.
    """

    name = "coordinates"
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


class ClassifierFeatures:
    """The penultimate layer of a classifier that this project trained and ships.

    Args:
        asset: Name of the shipped weights: `digits_classifier` or `shapes_classifier`.
        folder: Where they lie.

    Raises:
        FileNotFoundError: there is no such asset.
        WrongDigest: the weights are not those of their card.
    """

    resize = "torch_antialias"

    def __init__(self, asset: str, folder: str | Path = ASSETS) -> None:
        state, self.card = load_asset(asset, Path(folder))
        self.name, self.digest = asset, self.card["sha256"]
        with torch.device("meta"):
            self.network = ConvClassifier(**self.card["network"])
        self.network.load_state_dict(state, assign=True)
        self.channels, self.image_size, _ = self.network.image_shape
        self.dimensions = self.network.projection.out_features
        frozen(self.network)

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions); images of another size are brought to the classifier's first."""
        require_channels(self.name, image, self.channels)
        return self.network.to(image.device).features(resized(image, self.image_size))


def frozen(network: nn.Module) -> nn.Module:
    """Put a network into evaluation mode for good, without gradients."""
    return network.eval().requires_grad_(False)


def resized(image: Tensor, size: int) -> Tensor:
    """Bring images (B, C, H, W) to `size` x `size` pixels by antialiased bilinear interpolation."""
    if image.shape[2:] == (size, size):
        return image
    return interpolate(image, (size, size), mode="bilinear", antialias=True, align_corners=False)


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
