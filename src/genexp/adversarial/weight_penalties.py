"""Penalties on the weights of a player, which look at no image."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from genexp.adversarial.steps import CriticStep, GeneratorStep
from genexp.networks.modulated import ModulatedConvolution


class Orthogonal(nn.Module):
    """Rows of every weight matrix W should stand at right angles: weight * ||W W^T * (1 - I)||^2, without the diagonal.

    Convolution kernels are matrices with a row an output channel. Vectors and class embeddings are left alone.

    Reference: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019),
    equation 3, there for the generator.

    Args:
        weight: Factor beta.
        interval: Steps from one evaluation to the next.
    """

    scope: ClassVar[Literal["weights"]] = "weights"

    def __init__(self, weight: float = 1e-4, interval: int = 1) -> None:
        super().__init__()
        self.weight, self.interval = weight, interval

    def forward(self, step: CriticStep | GeneratorStep) -> Tensor:
        """Penalty () of the weights of the player whose step it is."""
        total = step.real.new_zeros((), dtype=torch.float32)
        for weight in matrices(step.player):
            rows = weight.float()
            with torch.autocast(rows.device.type, enabled=False):
                products = rows @ rows.T
            total = total + (products - products.diag().diag()).square().sum()
        return self.weight * total


def matrices(network: nn.Module) -> list[Tensor]:
    """The weights of linear and convolution layers as matrices (out, in), those that a norm makes as it makes them.

    Of modulated convolutions these are the weights before a style scales them.
    """
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, ModulatedConvolution)
    found = [m.weight.flatten(1) for m in network.modules() if isinstance(m, layers)]
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return found + [m.weight.transpose(0, 1).flatten(1) for m in network.modules() if isinstance(m, transposed)]


class HistoricalAverage(nn.Module):
    """Holds the parameters p of a player near their mean over all steps so far: weight * ||p - mean||^2.

    Reference: Salimans et al., "Improved Techniques for Training GANs" (2016), section 3.3.

    Args:
        weight: Factor on the squared distance, summed over parameters.
        interval: Steps from one evaluation to the next.
    """

    scope: ClassVar[Literal["weights"]] = "weights"
    steps: Tensor

    def __init__(self, weight: float = 1e-3, interval: int = 1) -> None:
        super().__init__()
        self.weight, self.interval = weight, interval
        self.register_buffer("steps", torch.tensor(0))
        self._player: list[nn.Module] = []

    def follow(self, player: nn.Module) -> None:
        """Keep the means of the parameters of `player`, whose steps this is told of from now on."""
        self._player = [player]
        for old in [name for name in self._buffers if name != "steps"]:  # of other parameters
            delattr(self, old)
        for name, parameter in player.named_parameters():
            self.register_buffer(name.replace(".", "/"), parameter.detach().clone())

    def forward(self, step: CriticStep | GeneratorStep) -> Tensor:
        """Penalty () of the parameters; 0 before the first step was taken."""
        distances = [
            (parameter - self.get_buffer(name.replace(".", "/"))).float().square().sum()
            for name, parameter in step.player.named_parameters()
        ]
        return self.weight * torch.stack(distances).sum()

    @torch.no_grad()
    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Add the parameters after a step to their means."""
        self.steps += 1
        for name, parameter in self._player[0].named_parameters():
            mean = self.get_buffer(name.replace(".", "/"))
            mean.lerp_(parameter.detach(), 1 / (self.steps + 1))
