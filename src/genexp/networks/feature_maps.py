"""An encoder from images to a grid of features, and a decoder from such a grid to raw pixels.

Normalisation is per sample, so no image depends on its batch; with `norm=pixel` it is per place, so that no place
depends on those outside its neighbourhood, whatever the size of the image. The encoder's last and the decoder's first
layer take the size that `give` and `take` tell them, before training.
"""

from collections.abc import Callable

from torch import Tensor, nn

from genexp.networks.blocks import group_norm
from genexp.networks.layer_weights import require_one_of


class PixelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of every place by itself, with a gain and a bias a channel.

    Reference: Ba, Kiros and Hinton, "Layer Normalization" (2016).
    """

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w), same shape."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


MAP_NORMS: dict[str, Callable[[int], nn.Module]] = {"group": group_norm, "pixel": PixelNorm}


class MapEncoder(nn.Module):
    """Halve the image `halvings` times, then residual blocks.

    Reference: van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (2017), section 4.1,
    there without norms.

    Args:
        channels: Image channels.
        image_size: Side of the square image, a multiple of 2^halvings.
        size: Numbers D of every place of the grid.
        halvings: The grid has image_size / 2^halvings places a side.
        width: Feature maps.
        depth: Residual blocks.
        norm: Of features: `group`, over groups of channels of the whole image, or `pixel`, over those of every place.

    Attributes:
        grid: Places (h, w) of an image of `image_size`.
        factor: Pixels a side of a place.

    Raises:
        ValueError: a size is out of range, there is no such norm, or the image cannot be halved so often.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        size: int = 64,
        halvings: int = 1,
        width: int = 64,
        depth: int = 2,
        norm: str = "group",
    ) -> None:
        super().__init__()
        require_one_of("norm", norm, MAP_NORMS)
        side = _side(image_size, halvings, width, depth)
        self.grid, self.factor = (side, side), 2**halvings
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.Sequential(*(Halve(width, norm) for _ in range(halvings)))
        self.blocks = nn.Sequential(*(MapResidual(width, norm) for _ in range(depth)))
        self.norm, self.head = MAP_NORMS[norm](width), nn.Conv2d(width, size, 1)

    def give(self, numbers: int) -> None:
        """Return so many numbers of every place."""
        if numbers != self.head.out_channels:
            self.head = nn.Conv2d(self.head.in_channels, numbers, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, C, H, W) to features (B, D, h, w)."""
        features = self.blocks(self.down(self.stem(image)))
        return self.head(nn.functional.silu(self.norm(features)))


class MapDecoder(nn.Module):
    """Residual blocks, then pixels repeated and convolved until the image size; mirrors `MapEncoder`, same arguments.

    Attributes:
        grid: Places (h, w) of an image of `image_size`.
        factor: Pixels a side of a place.
        reach: Farthest place, from the one that a pixel lies in, that it depends on; None where it depends on all.

    Raises:
        ValueError: a size is out of range, there is no such norm, or the image cannot be halved so often.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        size: int = 64,
        halvings: int = 1,
        width: int = 64,
        depth: int = 2,
        norm: str = "group",
    ) -> None:
        super().__init__()
        require_one_of("norm", norm, MAP_NORMS)
        side = _side(image_size, halvings, width, depth)
        self.grid, self.channels, self.factor = (side, side), channels, 2**halvings
        self.reach = depth + 2 if norm == "pixel" else None  # stem, blocks, and less than one for all behind them
        self.stem = nn.Conv2d(size, width, 3, padding=1)
        self.blocks = nn.Sequential(*(MapResidual(width, norm) for _ in range(depth)))
        self.up = nn.Sequential(*(Double(width, norm) for _ in range(halvings)))
        self.norm, self.head = MAP_NORMS[norm](width), nn.Conv2d(width, channels, 3, padding=1)

    @property
    def last_weight(self) -> nn.Parameter:
        """The weight of the last layer."""
        return self.head.weight

    def take(self, numbers: int) -> None:
        """Read so many numbers of every place."""
        if numbers != self.stem.in_channels:
            self.stem = nn.Conv2d(numbers, self.stem.out_channels, 3, padding=1)

    def give(self, numbers: int) -> None:
        """Return so many numbers of every pixel."""
        if numbers != self.head.out_channels:
            self.head = nn.Conv2d(self.head.in_channels, numbers, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, D, h, w) to raw values (B, C, H, W)."""
        return self.head(nn.functional.silu(self.norm(self.up(self.blocks(self.stem(features))))))


class MapResidual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the first 3x3, the second 1x1.

    Args:
        width: Feature maps.
        norm: As for `MapEncoder`.
    """

    def __init__(self, width: int, norm: str = "group") -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(MAP_NORMS[norm](width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
            *(MAP_NORMS[norm](width), nn.SiLU()),
        )
        self.last = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width, h, w), same shape."""
        return features + self.last(self.body(features))


class Halve(nn.Module):
    """silu(norm(x)), then a 4x4 convolution of stride 2.

    Args:
        width: Feature maps.
        norm: As for `MapEncoder`.
    """

    def __init__(self, width: int, norm: str = "group") -> None:
        super().__init__()
        self.norm, self.convolution = MAP_NORMS[norm](width), nn.Conv2d(width, width, 4, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width, h, w) to (B, width, h / 2, w / 2)."""
        return self.convolution(nn.functional.silu(self.norm(features)))


class Double(nn.Module):
    """Pixels repeated, silu(norm(x)), then a 3x3 convolution.

    Args:
        width: Feature maps.
        norm: As for `MapEncoder`.
    """

    def __init__(self, width: int, norm: str = "group") -> None:
        super().__init__()
        self.norm, self.convolution = MAP_NORMS[norm](width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width, h, w) to (B, width, 2 h, 2 w)."""
        doubled = features.repeat_interleave(2, -1).repeat_interleave(2, -2)
        return self.convolution(nn.functional.silu(self.norm(doubled)))


def _side(image_size: int, halvings: int, width: int, depth: int) -> int:
    """Places a side of the grid."""
    for name, number, least in (("halvings", halvings, 0), ("width", width, 4), ("depth", depth, 0)):
        if number < least:
            raise ValueError(f"{name} must be at least {least}, got {number}")
    if image_size % 2**halvings:
        raise ValueError(f"halvings must halve an image of {image_size} pixels exactly, got {halvings}")
    return image_size // 2**halvings
