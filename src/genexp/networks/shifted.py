"""Shifted convolutions and gated residual blocks, of PixelCNN++ and PixelSNAIL."""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, pad


class ShiftedConv2d(nn.Module):
    """A convolution whose last row is the pixel's own; its columns end with the pixel's own, or reach to both sides.

    Reference: Salimans et al., "PixelCNN++" (2017), section 2.3 and its code.

    Args:
        inputs: Input features.
        outputs: Output features.
        kernel_size: Rows and columns; columns odd unless `left`.
        left: Whether it sees to the left alone, not to both sides.
        stride: Pixels between outputs.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: tuple[int, int], left: bool = False, stride: int = 1
    ) -> None:
        super().__init__()
        rows, columns = kernel_size
        side = columns - 1 if left else columns // 2
        self.padding = (side, 0 if left else side, rows - 1, 0)
        self.convolution = nn.Conv2d(inputs, outputs, kernel_size, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return self.convolution(pad(features, self.padding))


def moved_down(features: Tensor) -> Tensor:
    """Features (B, F, H, W), every row in the place of the next."""
    return pad(features, (0, 0, 1, -1))


def moved_right(features: Tensor) -> Tensor:
    """Features (B, F, H, W), every column in the place of the next."""
    return pad(features, (1, -1))


def both_signs(features: Tensor) -> Tensor:
    """elu of the features and of their negatives: (B, F, ...) to (B, 2 F, ...)."""
    return elu(torch.cat([features, -features], dim=1))


class Begin(nn.Module):
    """What both streams of features begin with: of the rows above alone, and of all earlier pixels nearby.

    Args:
        channels: Channels of an image.
        width: Features of a stream.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.rows = ShiftedConv2d(channels, width, (2, 3))
        self.above = ShiftedConv2d(channels, width, (1, 3))
        self.beside = ShiftedConv2d(channels, width, (2, 1), left=True)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) to two streams of features (B, width, H, W)."""
        return moved_down(self.rows(image)), moved_down(self.above(image)) + moved_right(self.beside(image))


class GatedResidual(nn.Module):
    """x + a sigmoid(b), with (a, b) of two convolutions over x, of features beside it, and of a vector.

    Reference: Salimans et al., "PixelCNN++" (2017), its code; there weights are normalised, here they are not.

    Args:
        width: Features.
        kernel_size: Of the convolutions, see `ShiftedConv2d`.
        left: Whether they see to the left alone.
        beside: Features that are seen beside it at the same pixel, or 0.
        told: Size of the vector, or 0.
        dropout: Probability of dropping a feature between the convolutions.
    """

    def __init__(
        self,
        width: int,
        kernel_size: tuple[int, int],
        left: bool = False,
        beside: int = 0,
        told: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = ShiftedConv2d(2 * width, width, kernel_size, left)
        self.beside = nn.Conv2d(2 * beside, width, 1) if beside else None
        self.second = ShiftedConv2d(2 * width, 2 * width, kernel_size, left)
        self.told = nn.Linear(told, 2 * width, bias=False) if told else None
        self.dropout = nn.Dropout(dropout)
        self.second.convolution.weight.data.mul_(0.1)  # a block begins near the identity

    def forward(self, features: Tensor, vector: Tensor, beside: Tensor | None = None) -> Tensor:
        """Features (B, width, H, W), a vector (B, told) and what is beside them (B, beside, H, W) to features."""
        found = self.first(both_signs(features))
        if self.beside is not None:
            found = found + self.beside(both_signs(beside))
        found = self.second(self.dropout(both_signs(found)))
        if self.told is not None:
            found = found + self.told(vector)[:, :, None, None]
        signal, gate = found.chunk(2, dim=1)
        return features + signal * gate.sigmoid()
