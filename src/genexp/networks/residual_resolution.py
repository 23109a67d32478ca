"""SRResNet and EDSR: residual blocks of the small picture, then convolutions whose channels become pixels."""

from collections.abc import Mapping
from math import ceil
from typing import Literal

from torch import Tensor, nn

from genexp.conditioning.pictures import OfPictures
from genexp.networks.layer_weights import require_one_of
from genexp.networks.restoration import RestorationNetwork

ENLARGEMENTS = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
"""Scales, and the steps in which pixels are laid out."""
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU}


class ResolutionBlock(nn.Module):
    """x + scale * (convolution, activation, convolution), each convolution with a batch norm behind it or not.

    Args:
        width: Channels.
        batch_norm: Whether convolutions have batch norm.
        activation: `relu` or `prelu`.
        scale: Factor on what is added.
    """

    def __init__(self, width: int, batch_norm: bool, activation: str, scale: float) -> None:
        super().__init__()
        self.scale = scale
        norms = [nn.BatchNorm2d(width) if batch_norm else nn.Identity() for _ in range(2)]
        first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.body = nn.Sequential(first, norms[0], _ACTIVATIONS[activation](), second, norms[1])

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, width, h, w) to the same shape."""
        return features + self.scale * self.body(features)


class ResidualResolution(RestorationNetwork):
    """A convolution, residual blocks with a path around all of them, and doublings by sub-pixel convolutions.

    SRResNet, the generator of SRGAN, has batch norm, PReLU and filters of 9 pixels at both ends; EDSR has none of these
    and scales what its wide blocks add by 0.1. Both see zeros beyond the borders.

    References: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network"
    (2017), figure 4; Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution" (2017), section 3.

    Args:
        image_size: Side of the images of training.
        channels: Channels of the images.
        beside: The one picture; its side is that of the image over 1, 2, 3, 4 or 8.
        depth: Residual blocks, at least 1.
        width: Filters of every convolution.
        batch_norm: Whether blocks have batch norm.
        activation: `relu` or `prelu`.
        ends: Side of the first and of the last filter, odd.
        residual_scale: Factor on what a block adds, above 0.
        activated: Whether the activation also follows the first convolution and every doubling.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures],
        depth: int = 16,
        width: int = 64,
        batch_norm: bool = False,
        activation: Literal["relu", "prelu"] = "relu",
        ends: int = 3,
        residual_scale: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__(image_size, beside)
        require_one_of("activation", activation, tuple(_ACTIVATIONS))
        if self.scale not in ENLARGEMENTS:
            known = ", ".join(map(str, ENLARGEMENTS))
            raise ValueError(f"beside must hold a picture smaller by one of {known}, got {self.scale}")
        if depth < 1 or width < 1:
            raise ValueError(f"depth and width must be at least 1, got {depth} and {width}")
        if ends < 1 or ends % 2 == 0:
            raise ValueError(f"ends must be odd, got {ends}")
        if not residual_scale > 0:
            raise ValueError(f"residual_scale must be above 0, got {residual_scale}")
        behind = [_ACTIVATIONS[activation]] if activated else []
        first = nn.Conv2d(self.inputs, width, ends, padding=ends // 2)
        self.first = nn.Sequential(first, *(kind() for kind in behind))
        self.blocks = nn.Sequential(
            *(ResolutionBlock(width, batch_norm, activation, residual_scale) for _ in range(depth))
        )
        closing = [nn.BatchNorm2d(width)] if batch_norm else []
        self.closing = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), *closing)
        layers: list[nn.Module] = []
        for step in ENLARGEMENTS[self.scale]:
            layers += [nn.Conv2d(width, width * step**2, 3, padding=1), nn.PixelShuffle(step)]
            layers += [kind() for kind in behind]
        self.enlarging = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, channels, ends, padding=ends // 2)
        self.reach = ends // 2 + 2 * depth + 1 + _reach_of_enlarging(ENLARGEMENTS[self.scale], ends // 2)

    def restored(self, picture: Tensor) -> Tensor:
        """Images of the pictures."""
        features = self.first(picture)
        return self.last(self.enlarging(features + self.closing(self.blocks(features))))


def _reach_of_enlarging(steps: tuple[int, ...], last: int) -> int:
    """Pixels of the picture that the sub-pixel convolutions and the last one look to either side."""
    total, size = 0.0, 1
    for step in steps:
        total += 1 / size
        size *= step
    return ceil(total + last / size)
