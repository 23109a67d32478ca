"""Gradient penalties of a critic, per sample and already weighted.

All of them differentiate the score of each sample with respect to that sample alone, so they need a critic that does
not couple the samples of a batch (no batch norm). One that sees groups of samples (`genexp.networks.batch_sight`) is
let through: there it is the gradient of all scores of a group, as in the papers that join both. They run outside
autocast: a gradient of a gradient in half precision overflows. Under augmentations the score is that of the augmented
image and the gradient that of the image itself. A joint discriminator is differentiated by the image and its latent,
side by side; between two pairs lie mixtures of both, and around a pair, images with its latent.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genexp.adversarial.agreement import over_ranks
from genexp.adversarial.steps import CriticStep, Side
from genexp.tensors import expand_to


@dataclass(frozen=True)
class OfSamples:
    """A penalty that is evaluated at every `interval`-th step of its player.

    Args:
        interval: Steps from one evaluation to the next, see `genexp.adversarial.regularisers.Penalties`.
    """

    scope: ClassVar[Literal["sample"]] = "sample"
    interval: int = field(default=1, kw_only=True)


@dataclass(frozen=True)
class GradientPenalty(OfSamples):
    """Keeps the gradient norm of the critic near `target` on lines between real and fake images.

    weight * (||grad D(x)|| - target)^2 at x = mix * real + (1 - mix) * fake.

    Reference: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017).

    Args:
        weight: Factor lambda; 10 for images, 0.1 for the paper's two-dimensional toys.
        target: Gradient norm without penalty; 1 for a Wasserstein critic, 0 for a zero-centred penalty.
    """

    weight: float = 10.0
    target: float = 1.0

    def __call__(self, step: CriticStep) -> Tensor:
        """Penalty (B,); the step's `mix` is drawn uniformly when absent."""
        mix = torch.rand(len(step.real), device=step.real.device) if step.mix is None else step.mix
        share = expand_to(mix, step.real)
        point = share * step.real.detach() + (1 - share) * step.fake.detach()
        return self.weight * (gradient_norm(step, point) - self.target).square()


@dataclass(frozen=True)
class DRAGAN(OfSamples):
    """Keeps the gradient norm of the critic near `target` around the data.

    weight * (||grad D(x)|| - target)^2 at x = real + mix * spread * sd * u, where u is uniform in [0, 1] at every pixel
    and sd the standard deviation of all numbers of the batch.

    Reference: Kodali, Abernethy, Hays and Kira, "On Convergence and Stability of GANs" (2017); the law of the noise is
    that of their published code.

    Args:
        weight: Factor lambda.
        target: Gradient norm without penalty.
        spread: Size of the noise in standard deviations of the data.
    """

    weight: float = 10.0
    target: float = 1.0
    spread: float = 0.5

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """The noise (B, ...) of a whole batch, of which every process has a share."""
        mean = over_ranks(image.float().mean())
        deviation = over_ranks((image.float() - mean).square().mean()).sqrt()
        return self.spread * deviation * torch.rand_like(image)

    def __call__(self, step: CriticStep) -> Tensor:
        """Penalty (B,)."""
        noise = self.draw(step.real, 0) if step.noise is None else step.noise
        mix = torch.rand(len(step.real), device=step.real.device) if step.mix is None else step.mix
        point = step.on_image(step.real.detach(), lambda image: image + expand_to(mix, image) * noise)
        return self.weight * (gradient_norm(step, point) - self.target).square()


@dataclass(frozen=True)
class R1(OfSamples):
    """Zero-centred gradient penalty on real images: weight / 2 * ||grad D(real)||^2, summed over pixels.

    Reference: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?" (2018).

    Args:
        weight: Factor gamma. The squared norm grows with the number of pixels, so useful values do as well.
    """

    weight: float = 1.0

    def __call__(self, step: CriticStep) -> Tensor:
        """Penalty (B,) of the real images."""
        return self.weight / 2 * score_gradient(step, step.real).square().sum(1)


@dataclass(frozen=True)
class R2(OfSamples):
    """Zero-centred gradient penalty on fake images: weight / 2 * ||grad D(fake)||^2, summed over pixels.

    Reference: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?" (2018).

    Args:
        weight: Factor gamma, as in `R1`.
    """

    weight: float = 1.0

    def __call__(self, step: CriticStep) -> Tensor:
        """Penalty (B,) of the fakes."""
        return self.weight / 2 * score_gradient(step, step.fake, "fake").square().sum(1)


def gradient_norm(step: CriticStep, image: Tensor) -> Tensor:
    """Norms (B,) of the gradients at images (B, ...), seen as real ones."""
    # The square root has an infinite slope at zero: the epsilon keeps a flat critic trainable.
    return (score_gradient(step, image).square().sum(1) + 1e-12).sqrt()


def score_gradient(step: CriticStep, image: Tensor, side: Side = "real") -> Tensor:
    """Gradient of each sample's score with respect to that sample, flattened to (B, D) and itself differentiable.

    The images are cut from the graph that made them. Computed in the precision of the critic's weights, which is
    float32 under every mixed precision.
    """
    precision = next(step.discriminator.parameters()).dtype
    with torch.autocast(image.device.type, enabled=False):
        point = image.detach().to(precision).requires_grad_()
        (gradient,) = torch.autograd.grad(step.score(point, side).sum(), point, create_graph=True)
    return gradient.flatten(1).float()
