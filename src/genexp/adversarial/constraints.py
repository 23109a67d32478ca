"""Hard constraints on the weights of a critic, applied after each of its steps."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class WeightClip:
    """Clips every parameter that is trained to [-bound, bound]; buffers such as running statistics are left alone.

    Reference: Arjovsky, Chintala and Bottou, "Wasserstein GAN" (2017).

    Args:
        bound: Largest absolute value of a parameter, positive.
    """

    bound: float = 0.01

    def __post_init__(self) -> None:
        if self.bound <= 0:
            raise ValueError(f"bound must be positive, got {self.bound}")

    @torch.no_grad()
    def __call__(self, critic: nn.Module) -> None:
        """Clip the parameters of `critic` in place, but for frozen ones."""
        for parameter in critic.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.bound, self.bound)
