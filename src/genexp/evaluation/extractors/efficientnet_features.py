"""Features of EfficientNet-Lite0, from the weights that the extra `pretrained` installs."""

from torch import Tensor

from genexp.evaluation.extractors.frozen import features_in_pieces
from genexp.evaluation.extractors.resizing import Resize, require_resize, resized
from genexp.evaluation.extractors.whole_images import in_colour
from genexp.networks.pretrained import WeightsFile, efficientnet_lite0_with_digest

_PIECE = 16
"""Images that go through the network at a time on a CPU."""


class EfficientNetFeatures:
    """The mean over positions of EfficientNet-Lite0's last map: 1280 features, and 1000 classes of ImageNet.

    Trained on photographs, small and quick. A Frechet distance over it is no FID, which is defined on Inception. Images
    are brought to 224 x 224 pixels as a whole, without a crop; grey ones are repeated to three channels.

    Reference: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019).

    Args:
        weights: Path of a state dict, or None: that of the extra `pretrained`.
        digest: First digits, at least eight, that the SHA-256 of the file must have, or None.
        resize: Rule that images reach `image_size` by.
        image_size: Side of the network's images in pixels, at least 32.

    Raises:
        FileNotFoundError: the extra is not installed, or `weights` names no file.
        ValueError: an unknown rule, too small a size, or a file of something else.
        WrongDigest: the file has another digest.
    """

    dimensions = 1280

    def __init__(
        self,
        weights: WeightsFile | None = None,
        digest: str | None = None,
        resize: Resize = "torch_antialias",
        image_size: int = 224,
    ) -> None:
        if image_size < 32:
            raise ValueError(f"image_size must be at least 32, got {image_size}")
        self.resize, self.image_size = require_resize(resize), image_size
        self.network, self.digest = efficientnet_lite0_with_digest(weights, digest)
        self.name = "efficientnet_lite0" if image_size == 224 else f"efficientnet_lite0_{image_size}"

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, 1280) of images (B, 1 or 3, H, W).

        Raises:
            ValueError: the images have another number of channels.
        """
        image = resized(in_colour(image, 3), self.image_size, self.resize)
        return features_in_pieces(self.network, image, _PIECE)

    def logits(self, features: Tensor) -> Tensor:
        """Class logits (B, 1000) of feature vectors (B, 1280)."""
        return self.network.to(features.device).classify(features)
