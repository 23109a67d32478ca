"""The images themselves in place of features, for metrics that look at pixels or bring a network of their own."""

import hashlib
from collections.abc import Sequence

from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.protocol import IMAGES
from genexp.sample_kinds import require_images
from genexp.tensors import require_image_shape, to_float, to_uint8


class Images:
    """Hands images on as flattened vectors; a value computed from them has no extractor in its key.

    They are 8-bit, as everything that evaluation sees: a store of them takes C H W bytes an image.

    Args:
        shape: Shape [C, H, W] of the images.
    """

    name = IMAGES
    image_size = None
    resize = "none"

    def __init__(self, shape: Sequence[int]) -> None:
        if len(shape) != 3 or any(side < 1 for side in shape):
            raise ValueError(f"shape must be [channels, height, width], got {list(shape)}")
        self.shape = tuple(int(side) for side in shape)
        channels, height, width = self.shape
        self.dimensions = channels * height * width
        self.digest = hashlib.sha256(f"images {channels} {height} {width}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """The images (B, C, H, W) as uint8 vectors (B, C * H * W).

        Raises:
            ValueError: the images have another shape.
        """
        require_image_shape(image, self.shape)
        return to_uint8(image).flatten(1)

    def restored(self, features: Tensor) -> Tensor:
        """The images (N, C, H, W) in [-1, 1] of uint8 vectors (N, C * H * W)."""
        return to_float(features.reshape(-1, *self.shape))


def whole_images_of(metric: str, extractor: FeatureExtractor) -> Images:
    """The extractor of a metric that looks at images.

    Raises:
        ValueError: it is another than `Images`.
    """
    if not isinstance(extractor, Images):
        raise ValueError(f"{metric} needs the extractor Images, got {type(extractor).__name__}")
    return extractor


def in_colour(image: Tensor, channels: int) -> Tensor:
    """Images (B, 1 or `channels`, H, W) with `channels` channels: grey ones repeated.

    Raises:
        ValueError: they have another number of channels.
    """
    require_images(image, 1, channels)
    return image.expand(-1, channels, -1, -1)
