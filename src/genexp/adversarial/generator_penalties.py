"""Penalties of a generator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from genexp.adversarial.agreement import neighbours, over_ranks
from genexp.adversarial.steps import GeneratorStep
from genexp.networks.beside import SeesPictures
from genexp.networks.image_to_image import ImageToImageGenerator
from genexp.networks.styled import Styled


class PathLength(nn.Module):
    """A step of the latent should change the image equally far everywhere: weight * (||J^T y|| - a)^2.

    J is the Jacobian of the image by the latent, y Gaussian noise in the image divided by the root of the number of its
    pixels, and a the moving average of ||J^T y|| over the evaluations before this one. Of a generator with styles it is
    the Jacobian by these, and the square of the norm is the mean over its layers.

    Reference: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 3.2.

    Args:
        weight: Factor.
        decay: Share of the moving average that one evaluation leaves, in [0, 1).
        interval: Generator steps from one evaluation to the next; 4 in the paper.

    Raises:
        ValueError: `decay` lies outside [0, 1).
    """

    scope: ClassVar[Literal["sample"]] = "sample"
    mean: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, weight: float = 2.0, decay: float = 0.99, interval: int = 4) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.weight, self.decay, self.interval = weight, decay, interval
        for name in ("mean", "total", "count"):
            self.register_buffer(name, torch.tensor(0.0))

    def follow(self, player: nn.Module) -> None:
        """Refuse a generator whose images have no gradient by the latent.

        Raises:
            ValueError: its latent decides what is dropped, or is not read.
        """
        require_latent_read(player, "path_length")
        if isinstance(player, ImageToImageGenerator):
            raise ValueError(
                "generator_penalties must be without path_length for a generator whose latent says which features are "
                f"dropped, by which there is no gradient, got {type(player).__name__}"
            )

    def draw(self, image: Tensor, images_seen: int) -> Tensor:
        """The noise y (B, C, H, W)."""
        return torch.randn_like(image) / image[0, 0].numel() ** 0.5

    def forward(self, step: GeneratorStep) -> Tensor:
        """Penalty (B,)."""
        length = path_length(step, self.draw(step.real, 0) if step.noise is None else step.noise)
        self.total += length.detach().sum()
        self.count += len(length)
        return self.weight * (length - self.mean).square()

    @torch.no_grad()
    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Move the average by the mean length of an evaluation, if there was one since the last step."""
        share = (1 - self.decay) * (self.count > 0)
        self.mean.lerp_(self.total / self.count.clamp(min=1), share)
        self.total.zero_()
        self.count.zero_()


def path_length(step: GeneratorStep, noise: Tensor) -> Tensor:
    """Lengths (B,) of J^T y for noise y (B, C, H, W), differentiable; computed in float32."""
    with torch.autocast(noise.device.type, enabled=False):
        if isinstance(step.generator, Styled):
            point = step.generator.styles(step.latent, step.condition)
            image = step.generator.synthesise(point, step.latent)
        else:
            point = step.latent.detach().requires_grad_()
            image = step.generator.forward(point, step.condition)  # not compiled: it is differentiated twice
        (gradient,) = torch.autograd.grad((image * noise).sum(), point, create_graph=True)
    layers = gradient if isinstance(step.generator, Styled) else gradient.flatten(1)[:, None]
    return (layers.square().sum(2).mean(1) + 1e-12).sqrt()


@dataclass(frozen=True)
class ModeSeeking:
    """Two latents should not give one image: weight / (d(G(z1), G(z2)) / d(z1, z2) + 1e-5).

    d is the mean absolute difference, over the batch of all processes too. The other latent of a sample is that of its
    neighbour in this batch, under the condition of the sample.

    Reference: Mao et al., "Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis" (2019), equation
    3, in the form of the published code, which minimises the inverse.

    Args:
        weight: Factor.
        interval: Generator steps from one evaluation to the next.
    """

    scope: ClassVar[Literal["batch"]] = "batch"
    least_batch: ClassVar[int] = 2
    weight: float = 1.0
    interval: int = field(default=1, kw_only=True)

    def follow(self, player: nn.Module) -> None:
        """Refuse a generator whose images do not depend on the latent.

        Raises:
            ValueError: it does not read it.
        """
        require_latent_read(player, "mode_seeking")

    def __call__(self, step: GeneratorStep) -> Tensor:
        """Penalty () of a whole batch, of all processes."""
        other = neighbours(step.latent)
        change = over_ranks(distance(step.image(), step.generator(other, step.condition)).mean())
        return self.weight / (change / over_ranks(distance(step.latent, other).mean()) + 1e-5)


@dataclass(frozen=True)
class FeatureMatching:
    """The mean features of the discriminator should be those of the data: weight * ||E f(x) - E f(G(z))||^2.

    Reference: Salimans et al., "Improved Techniques for Training GANs" (2016), section 3.1, there in the place of the
    generator's own loss.

    Args:
        weight: Factor on the squared distance, summed over features.
        interval: Generator steps from one evaluation to the next.
    """

    scope: ClassVar[Literal["batch"]] = "batch"
    weight: float = 1.0
    interval: int = field(default=1, kw_only=True)

    def __call__(self, step: GeneratorStep) -> Tensor:
        """Penalty () of a whole batch, of all processes."""
        with torch.no_grad():
            real = over_ranks(step.features(step.real, "real").mean(0))
        return self.weight * (real - over_ranks(step.features(step.image(), "fake").mean(0))).square().sum()


@dataclass(frozen=True)
class Reconstruction:
    """The generated image should be the real one that belongs to the same picture: weight * mean |G(z, y) - x|.

    The mean is over channels and pixels. Its minimum is the median image under what is told, which is blurred where
    that leaves a choice; the critic then asks for one of the choices.

    Reference: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017), equation 3.

    Args:
        weight: Factor lambda; 100 in the paper.
        interval: Generator steps from one evaluation to the next.
    """

    scope: ClassVar[Literal["sample"]] = "sample"
    weight: float = 100.0
    interval: int = field(default=1, kw_only=True)

    def follow(self, player: nn.Module) -> None:
        """Refuse a generator that is not told what its image belongs to.

        Raises:
            ValueError: it is told no picture.
        """
        require_told_picture(player, "reconstruction")

    def __call__(self, step: GeneratorStep) -> Tensor:
        """Penalty (B,)."""
        return self.weight * distance(step.image().float(), step.real.float())


def require_told_picture(player: nn.Module, penalty: str) -> None:
    """Raise ValueError unless a generator is told what its image belongs to."""
    if not isinstance(player, SeesPictures):
        raise ValueError(
            f"generator_penalties must be without {penalty} for a generator that is told no picture, whose image i is "
            f"not meant to be real image i, got {type(player).__name__}"
        )


def require_latent_read(player: nn.Module, penalty: str) -> None:
    """Raise ValueError where the images of a generator do not depend on its latent."""
    if isinstance(player, SeesPictures) and not player.reads_latent:
        raise ValueError(
            f"generator_penalties must be without {penalty} for a generator that reads no latent, got "
            f"{type(player).__name__}"
        )


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute differences (B,) of samples (B, ...)."""
    return (first - second).abs().flatten(1).mean(1)
