"""Norms of the features of adversarial networks: of a sample, of a batch, and of a batch under a condition."""

from collections.abc import Callable

from torch import Tensor, nn

from genexp.networks.classes import ClassTable

FEATURE_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda count: nn.GroupNorm(1, count),
    "instance": lambda count: nn.InstanceNorm2d(count, affine=True),
}
"""Norms with a gain and a bias for every channel: `layer` over all features of a sample, `instance` over the pixels of
every channel."""


class ClassBatchNorm(nn.Module):
    """Batch norm whose gain 1 + g(label) and bias b(label) belong to a class, or are shared when there are none.

    Reference: Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style" (2017); for generators
    Miyato and Koyama, "cGANs with Projection Discriminator" (2018).

    Args:
        count: Number of channels.
        num_classes: Number of classes; None for one gain and bias.
        spread: Standard deviation of gains around 1 at the start.
    """

    def __init__(self, count: int, num_classes: int | None = None, spread: float = 0.02) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(count, affine=not num_classes)
        self.gain = ClassTable(num_classes, count) if num_classes else None
        self.bias = ClassTable(num_classes, count) if num_classes else None
        if self.gain is None:
            nn.init.normal_(self.norm.weight, 1.0, spread)
        else:
            nn.init.normal_(self.gain.weight, 0.0, spread)
            nn.init.zeros_(self.bias.weight)

    def forward(self, hidden: Tensor, label: Tensor | None) -> Tensor:
        """Features (B, C, H, W) of classes (B,), normalised over the batch."""
        hidden = self.norm(hidden)
        return hidden if self.gain is None else modulated(hidden, self.gain(label), self.bias(label))


class VectorBatchNorm(nn.Module):
    """Batch norm whose gain 1 + G v and bias B v are linear in a vector v of the sample.

    Reference: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019),
    there of a shared embedding of the class and a part of the latent; of the latent alone: Chen et al., "On Self
    Modulation for Generative Adversarial Networks" (2019).

    Args:
        count: Number of channels.
        features: Size of the vector.
        ready: Initialises and normalises the layers of G and B.
    """

    def __init__(self, count: int, features: int, ready: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(count, affine=False)
        self.gain = ready(nn.Linear(features, count, bias=False))
        self.bias = ready(nn.Linear(features, count, bias=False))

    def forward(self, hidden: Tensor, vector: Tensor) -> Tensor:
        """Features (B, C, H, W) under vectors (B, F), normalised over the batch."""
        return modulated(self.norm(hidden), self.gain(vector), self.bias(vector))


class NoNorm(nn.Module):
    """Features as they are, whatever the condition."""

    def forward(self, hidden: Tensor, told: Tensor | None) -> Tensor:
        """The features."""
        return hidden


def modulated(hidden: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """h (1 + gain) + bias of features (B, C, H, W) with gains and biases (B, C)."""
    return hidden * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
