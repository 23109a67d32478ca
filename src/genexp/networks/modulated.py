"""Convolutions whose weights every sample scales by its own style."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.networks.equalised import equalised, leaky
from genexp.networks.resampling import Filter


class ModulatedConvolution(nn.Module):
    """A convolution with weights of each sample: s_i w_oik d_o, d_o = 1 / sqrt(sum_ik (s_i w_oik)^2 + 1e-8).

    The style of the layer is s = A w + b, with b = 1 at initialisation. Demodulation, the factor d, gives outputs unit
    variance where inputs have it, whatever the style. Scales are put on inputs and outputs, which is the same as on the
    weights and takes one convolution for the whole batch: weights of their own for all samples, in a grouped
    convolution, are batch times as many numbers to hold and to differentiate.

    Reference: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 2.2.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Side of the kernel.
        style: Size of the style vector w.
        demodulate: Whether outputs are divided by what their variance is expected to be.
        double: Whether the image doubles: a transposed convolution, then the filter.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, demodulate: bool = True, double: bool = False
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        equalised(self)
        self.style = equalised(nn.Linear(style, inputs), bias=1.0)
        self.filter = Filter() if double else None

    def forward(self, hidden: Tensor, style: Tensor) -> Tensor:
        """Features (B, inputs, H, W) under style vectors (B, style) to (B, outputs, H, W), or twice the size."""
        weight, scale = self.weight, self.style(style)
        hidden = hidden * scale[:, :, None, None]
        if self.filter is None:
            hidden = F.conv2d(hidden, weight, padding=weight.shape[-1] // 2)
        else:
            hidden = F.conv_transpose2d(hidden, weight.transpose(0, 1), stride=2)
            hidden = self.filter.blur(hidden, padding=1, gain=4.0)
        if not self.demodulate:
            return hidden
        energy = scale.square() @ weight.square().sum((2, 3)).T
        return hidden * (energy + 1e-8).rsqrt().to(hidden.dtype)[:, :, None, None]


class StyledLayer(nn.Module):
    """leaky(modulated convolution + strength * noise + bias); the strength is learned and starts at 0.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        style: Size of the style vector.
        double: Whether the image doubles.
    """

    def __init__(self, inputs: int, outputs: int, style: int, double: bool = False) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 3, style, double=double)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, hidden: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """Features (B, inputs, H, W), style vectors (B, style) and noise (B, 1, H', W') or None to features."""
        hidden = self.convolution(hidden, style)
        if noise is not None:
            hidden = hidden + (self.strength * noise).to(hidden.dtype)
        return leaky(hidden + self.bias[:, None, None])


class ToImage(nn.Module):
    """Features to channels of an image, by a modulated 1x1 convolution without demodulation.

    Args:
        inputs: Input channels.
        channels: Channels of the image.
        style: Size of the style vector.
    """

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, channels, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, hidden: Tensor, style: Tensor) -> Tensor:
        """Features (B, inputs, H, W) and style vectors (B, style) to (B, channels, H, W)."""
        return self.convolution(hidden, style) + self.bias[:, None, None]
