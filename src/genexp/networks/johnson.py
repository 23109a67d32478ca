"""Feed-forward style transfer in one style: an image in, an image out."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Output = Literal["tanh", "linear"]
LEAST = 5
"""Smallest side of an image: a 9 x 9 convolution reflects 4 of its pixels, and a residual block 1 of the quartered."""


class JohnsonStylizer(nn.Module):
    """A network that has one style: two halvings, residual blocks, two doublings.

    As in the paper, but for what later work found better: instance norm in place of batch norm, reflection before every
    convolution in place of 40 pixels before the first, and doubling to the nearest pixel before a convolution in place
    of transposed convolutions, which leave a checkerboard. Sides may be odd: doublings come back to the sizes that the
    halvings had. As instance norm follows the first convolution, contrast and brightness of an image change nothing.

    References: Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
    (2016), supplement, table 1; Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for
    Fast Stylization" (2016); Odena, Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts" (2016).

    Args:
        width: Channels at full size; twice and four times as many after the halvings.
        blocks: Residual blocks.
        output: "tanh" keeps pixels in (-1, 1), "linear" leaves them free, to be clamped where they are shown.
        inputs: Channels of the images that come in.
        channels: Channels of those that go out.
        ends: Side of the first and of the last filter, odd.

    Raises:
        ValueError: an argument is out of range.
    """

    any_style: ClassVar[bool] = False

    def __init__(
        self,
        width: int = 32,
        blocks: int = 5,
        output: Output = "tanh",
        inputs: int = 3,
        channels: int = 3,
        ends: int = 9,
    ) -> None:
        super().__init__()
        if ends < 1 or ends % 2 == 0:
            raise ValueError(f"ends must be odd, at least 1, got {ends}")
        if width < 1 or blocks < 0:
            raise ValueError(f"width must be at least 1 and blocks at least 0, got {width} and {blocks}")
        if output not in get_args(Output):
            raise ValueError(f"output must be tanh or linear, got {output!r}")
        self.output = output
        self.first = _Convolution(inputs, width, ends)
        self.halvings = nn.ModuleList(
            [_Convolution(width, 2 * width, 3, stride=2), _Convolution(2 * width, 4 * width, 3, stride=2)]
        )
        self.blocks = nn.Sequential(*(_Block(4 * width) for _ in range(blocks)))
        self.doublings = nn.ModuleList([_Convolution(4 * width, 2 * width, 3), _Convolution(2 * width, width, 3)])
        self.last = nn.Conv2d(width, channels, ends, padding=ends // 2, padding_mode="reflect")

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, inputs, H, W) in [-1, 1] to images (B, channels, H, W), of the same size.

        Raises:
            ValueError: a side is too small to be halved and reflected.
        """
        if min(image.shape[-2:]) < LEAST:
            raise ValueError(f"image must have at least {LEAST} pixels a side, got {tuple(image.shape[-2:])}")
        features, sizes = functional.relu(self.first(image)), []
        for halving in self.halvings:
            sizes.append(features.shape[-2:])
            features = functional.relu(halving(features))
        features = self.blocks(features)
        for doubling, size in zip(self.doublings, reversed(sizes), strict=True):
            features = functional.relu(doubling(functional.interpolate(features, size, mode="nearest")))
        found = self.last(features)
        return torch.tanh(found) if self.output == "tanh" else found


class _Convolution(nn.Sequential):
    """A convolution of reflected maps, then instance norm."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        padding = {"padding": kernel // 2, "padding_mode": "reflect"}
        super().__init__(nn.Conv2d(before, after, kernel, stride, **padding), nn.InstanceNorm2d(after, affine=True))


class _Block(nn.Module):
    """Two convolutions beside the identity, without rectification after the sum (Gross and Wilber, 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_Convolution(channels, channels, 3), nn.ReLU(), _Convolution(channels, channels, 3))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)
