"""Features that nobody trained: pixels, coordinates of points, and a convolutional network with random weights."""

import hashlib

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from genexp.evaluation.extractors.frozen import digest_of, frozen, require_channels
from genexp.evaluation.extractors.resizing import resized


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
