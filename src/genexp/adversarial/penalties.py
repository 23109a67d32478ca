"""Gradient penalties of a critic, per sample and already weighted.

All of them differentiate the score of each sample with respect to that sample alone, so they need a critic that does
not couple the samples of a batch (no batch norm). They run outside autocast: a gradient of a gradient in half precision
overflows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.tensors import expand_to


@dataclass(frozen=True)
class GradientPenalty:
    """Keeps the gradient norm of the critic near `target` on lines between real and fake images.

    weight * (||grad D(x)|| - target)^2 at x = mix * real + (1 - mix) * fake.

    Reference: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017).

    Args:
        weight: Factor lambda; 10 for images, 0.1 for the paper's two-dimensional toys.
        target: Gradient norm without penalty; 1 for a Wasserstein critic, 0 for a zero-centred penalty.
    """

    weight: float = 10.0
    target: float = 1.0

    def __call__(
        self,
        critic: nn.Module,
        real: Tensor,
        fake: Tensor,
        condition: Condition = UNCONDITIONAL,
        mix: Tensor | None = None,
    ) -> Tensor:
        """Penalty (B,) of real and fake images (B, ...); `mix` (B,) in [0, 1] is drawn uniformly when absent."""
        if mix is None:
            mix = torch.rand(len(real), device=real.device)
        share = expand_to(mix, real)
        gradient = score_gradient(critic, share * real.detach() + (1 - share) * fake.detach(), condition)
        # The square root has an infinite slope at zero: the epsilon keeps a flat critic trainable.
        norm = (gradient.square().sum(1) + 1e-12).sqrt()
        return self.weight * (norm - self.target).square()


@dataclass(frozen=True)
class R1:
    """Zero-centred gradient penalty on real images: weight / 2 * ||grad D(real)||^2, summed over pixels.

    Reference: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?" (2018).

    Args:
        weight: Factor gamma. The squared norm grows with the number of pixels, so useful values do as well.
    """

    weight: float = 1.0

    def __call__(
        self,
        critic: nn.Module,
        real: Tensor,
        fake: Tensor,
        condition: Condition = UNCONDITIONAL,
        mix: Tensor | None = None,
    ) -> Tensor:
        """Penalty (B,) of real images (B, ...); `fake` and `mix` are not used."""
        return self.weight / 2 * score_gradient(critic, real, condition).square().sum(1)


@dataclass(frozen=True)
class R2:
    """Zero-centred gradient penalty on fake images: weight / 2 * ||grad D(fake)||^2, summed over pixels.

    Reference: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?" (2018).

    Args:
        weight: Factor gamma, as in `R1`.
    """

    weight: float = 1.0

    def __call__(
        self,
        critic: nn.Module,
        real: Tensor,
        fake: Tensor,
        condition: Condition = UNCONDITIONAL,
        mix: Tensor | None = None,
    ) -> Tensor:
        """Penalty (B,) of fake images (B, ...); `real` and `mix` are not used."""
        return self.weight / 2 * score_gradient(critic, fake, condition).square().sum(1)


def score_gradient(critic: nn.Module, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Gradient of each sample's score with respect to that sample, flattened to (B, D) and itself differentiable.

    The images are cut from the graph that made them. Computed in the precision of the critic's weights, which is
    float32 under every mixed precision.
    """
    precision = next(critic.parameters()).dtype
    with torch.autocast(image.device.type, enabled=False):
        point = image.detach().to(precision).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(point, condition).sum(), point, create_graph=True)
    return gradient.flatten(1).float()
