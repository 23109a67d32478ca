"""A small convolutional classifier whose penultimate layer serves as an image feature."""

from collections.abc import Sequence

from torch import Tensor, nn

from genexp.tensors import require_image_shape


class ConvClassifier(nn.Module):
    """Convolutions down to 4 x 4 positions, then two linear layers.

    Every stage is a 3 x 3 convolution, batch normalisation and a ReLU; the first stages halve the image until 4 x 4
    positions are left, and the rest keep that size.

    Args:
        channels: Channels of the image.
        image_size: Side of the image in pixels: 4 times a power of two, with at most one halving a stage.
        num_classes: Number of classes.
        widths: Channels of the stages.
        num_features: Length of the feature vector.
        dropout: Share of features dropped before the last layer while training, in [0, 1).

    Raises:
        ValueError: `image_size` is not 4 times a power of two, or there are too few stages to halve it.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        num_classes: int,
        widths: Sequence[int] = (32, 64, 64),
        num_features: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        halvings = (image_size // 4).bit_length() - 1
        if image_size < 4 or image_size != 4 << halvings:
            raise ValueError(f"image_size must be 4 times a power of two, got {image_size}")
        if halvings > len(widths):
            raise ValueError(
                f"widths must name at least {halvings} stages for image_size={image_size}, got {len(widths)}"
            )
        self.image_shape = (channels, image_size, image_size)
        self.channels, self.num_features = channels, num_features
        layers: list[nn.Module] = []
        for stage, width in enumerate(widths):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if stage < halvings else []
            channels = width
        self.stages = nn.Sequential(*layers)
        self.projection = nn.Linear(channels * 16, num_features)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(num_features, num_classes))

    def features(self, image: Tensor) -> Tensor:
        """The penultimate layer before its ReLU, (B, num_features), of images (B, C, H, W) in [-1, 1].

        Raises:
            ValueError: the images have another shape than the network was built for.
        """
        require_image_shape(image, self.image_shape)
        return self.projection(self.stages(image).flatten(1))

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (B, num_classes)."""
        return self.head(self.features(image))
