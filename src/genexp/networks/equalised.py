"""Layers whose weights are all learned at one scale, whatever the size of the layer."""

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import register_parametrization

SLOPE = 0.2
GAIN = 2**0.5


def equalised(layer: nn.Module, rate: float = 1.0, bias: float = 0.0) -> nn.Module:
    """Let a layer compute with w = rate v / sqrt(fan in) and b = rate c, where v ~ N(0, 1 / rate^2) and c are learned.

    Adam moves every v by about the learning rate, so every weight moves by as large a share of its size. The output has
    unit variance at initialisation where the input has, for every `rate`.

    Reference: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (2018),
    section 4.1; `rate` as in Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks"
    (2019), appendix C.

    Args:
        layer: A linear layer, convolution or embedding, or another with a `weight` (outputs, inputs, ...); changed in
            place.
        rate: Factor on how fast the layer learns.
        bias: The bias b at initialisation.

    Returns:
        The layer.
    """
    nn.init.normal_(layer.weight, 0.0, 1 / rate)
    register_parametrization(layer, "weight", _Times(rate / layer.weight[0].numel() ** 0.5))
    if "bias" in dict(layer.named_parameters(recurse=False)):
        nn.init.constant_(layer.bias, bias / rate)
        if rate != 1:
            register_parametrization(layer, "bias", _Times(rate))
    return layer


def leaky(hidden: Tensor) -> Tensor:
    """sqrt(2) leaky_relu(h), of slope 0.2, which about keeps the mean square of normal values."""
    return GAIN * F.leaky_relu(hidden, SLOPE)


def normalised(rows: Tensor) -> Tensor:
    """Rows (B, N) divided by the root of their mean square."""
    return rows * (rows.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Leaky(nn.Module):
    """`leaky` as a layer."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Features of any shape to as many."""
        return leaky(hidden)


def leaky_convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """An equalised convolution that keeps the size of the image, then `leaky`."""
    return nn.Sequential(equalised(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)), Leaky())


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, stored: Tensor) -> Tensor:
        return self.factor * stored
