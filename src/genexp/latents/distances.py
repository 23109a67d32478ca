"""Distances of images in the place of a likelihood: what an eye would call alike counts, and no density is left."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from genexp.losses.perceptual import PerceptualLoss
from genexp.losses.reconstruction import ReconstructionLikelihood
from genexp.losses.structural_similarity import SCALE_WEIGHTS, multi_scale_similarity
from genexp.networks.shipped_networks import TrainedEncoder


class Distance(ReconstructionLikelihood):
    """pixels |x - y|^p / p + weight D d(x, y), D the values of an image: of the size of a likelihood's nats, yet none.

    Args:
        weight: Of d, not negative.
        pixels: Of the error of pixels, not negative.
        power: p of that error, 1 or 2.

    Raises:
        ValueError: a weight is negative, or both are 0, or the power is another.
    """

    is_likelihood = False

    def __init__(self, weight: float, pixels: float, power: int = 2) -> None:
        super().__init__()
        if weight < 0 or pixels < 0 or not weight + pixels:
            raise ValueError(f"weight must be above 0, or 0 beside pixels above it, got {weight} and {pixels}")
        if power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, got {power}")
        self.weight, self.pixels, self.power = weight, pixels, power

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """The distance (B, 1) of whole images."""
        error = raw - image
        error = error.abs() if self.power == 1 else error.square() / 2
        total = self.pixels * error.flatten(1).sum(1)
        if self.weight:
            total = total + self.weight * image[0].numel() * self.of_images(raw, image)
        return total[:, None]

    @abstractmethod
    def of_images(self, raw: Tensor, image: Tensor) -> Tensor:
        """d (B,) of decoded images and those of the data (B, C, H, W)."""

    def mean(self, raw: Tensor) -> Tensor:
        """The decoded image, clipped to its range."""
        return raw.clamp(-1, 1)


class Perceptual(Distance):
    """d is the mean squared difference of feature maps of a fixed network, summed over layers: see `PerceptualLoss`.

    The shipped network sees images at its 32 x 32 pixels of three channels; another one as `image_size` says.

    References: Hou et al., "Deep Feature Consistent Variational Autoencoder" (2017); Johnson, Alahi and Fei-Fei,
    "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (2016), equation 2.

    Args:
        layers: Of `genexp.networks.compact_vgg`, such as `relu1_1`, or of `features`.
        weight: Of d, not negative.
        pixels: Of the error of pixels, not negative.
        asset: Name of the shipped weights; unused with `features`.
        features: Encoder in the place of the shipped network, or None.
        image_size: Side in pixels that images are brought to, or None: they are seen as they are.
        power: Of the error of pixels, 1 (in sum) or 2 (half the squares).

    Raises:
        ValueError: an argument is out of range, or there is no such layer.
    """

    def __init__(
        self,
        layers: Sequence[str] = ("relu1_1", "relu2_1"),
        weight: float = 1.0,
        pixels: float = 1.0,
        asset: str = "cifar_vgg",
        features: nn.Module | None = None,
        image_size: int | None = 32,
        power: int = 2,
    ) -> None:
        super().__init__(weight, pixels, power)
        encoder = TrainedEncoder(asset) if features is None else features
        self.perceptual = PerceptualLoss(encoder, layers, image_size=image_size)

    def of_images(self, raw: Tensor, image: Tensor) -> Tensor:
        """Of all layers."""
        return self.perceptual(raw, image)


class StructuralDissimilarity(Distance):
    """d is 1 - MS-SSIM, see `multi_scale_similarity`; factors below 0.0001 have no gradient.

    Reference: Snell et al., "Learning to Generate Images with Perceptual Similarity Metrics" (2017).

    Args:
        scales: Number of scales, 1 to 5.
        window: Side of the window in pixels, odd; it has to fit into the image at the last scale.
        weight: Of d, not negative.
        pixels: Of the squared error, not negative.

    Raises:
        ValueError: an argument is out of range.
    """

    least = 1e-4

    def __init__(self, scales: int = 1, window: int = 7, weight: float = 1.0, pixels: float = 0.0) -> None:
        super().__init__(weight, pixels)
        if not 1 <= scales <= len(SCALE_WEIGHTS):
            raise ValueError(f"scales must lie in [1, {len(SCALE_WEIGHTS)}], got {scales}")
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window must be odd and at least 1, got {window}")
        self.scales, self.window = scales, window

    def of_images(self, raw: Tensor, image: Tensor) -> Tensor:
        """Of all scales; ValueError where the window does not fit."""
        side = min(image.shape[2:]) // 2 ** (self.scales - 1)
        if self.window > side:
            raise ValueError(
                f"window must be at most {side} for {self.scales} scales of such images, got {self.window}"
            )
        return 1 - multi_scale_similarity(raw, image, self.scales, self.window, least=self.least).to(raw.dtype)
