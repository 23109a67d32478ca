"""A latent in groups, one after the other: prior and posterior of each know the groups above."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.latents.gaussian import DiagonalGaussian


@runtime_checkable
class LadderNetwork(Protocol):
    """The networks of a hierarchy: features of an image from below, and a state that goes down from the top.

    `group_shapes` are those of the groups (Z, h, w), the top one first. A state belongs to a group: `absorb` gives that
    of the next.
    """

    group_shapes: Sequence[tuple[int, int, int]]

    def features(self, image: Tensor) -> Sequence[Tensor]:
        """What is seen of images (B, C, H, W), for every group."""
        ...

    def start(self, count: int) -> Tensor:
        """The state of the first group, for so many images."""
        ...

    def prior(self, group: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (B, 2 Z, h, w) before an image is seen, and the state with what is known."""
        ...

    def posterior(self, group: int, state: Tensor, features: Tensor) -> Tensor:
        """Means and log-variances (B, 2 Z, h, w) of a group once the image is seen."""
        ...

    def absorb(self, group: int, state: Tensor, latent: Tensor) -> Tensor:
        """The state of the next group, given the latents (B, Z, h, w) of this one."""
        ...

    def output(self, state: Tensor) -> Tensor:
        """Raw values of images, of the state after the last group."""
        ...


@dataclass(frozen=True)
class Descent:
    """One way down, with one latent an image.

    Args:
        raw: Raw values of the images.
        noise: Latents (B, D) of all groups in units of their priors: N(0, I) before an image is seen.
        kl: KL divergence (B, groups) of every group from its prior in nats, given the latents above.
        log_ratio: log p(z) - log q(z | x) (B,) in nats of the latents.
    """

    raw: Tensor
    noise: Tensor
    kl: Tensor
    log_ratio: Tensor


@dataclass(frozen=True)
class Hierarchy:
    """How the numbers that a ladder gives become Gaussians.

    The first group has the prior N(0, I). A `relative` posterior is told by its difference from the prior: means add,
    log-variances too. Means and standard deviations are kept in bounds by `soft_clamp` c: c tanh(. / c) of a mean and
    of half a log-variance, each of what the network gives.

    References: Sonderby et al., "Ladder Variational Autoencoders" (2016); Vahdat and Kautz, "NVAE: A Deep Hierarchical
    Variational Autoencoder" (2020), sections 3.2 and appendix A; Child, "Very Deep VAEs Generalize Autoregressive
    Models and Can Outperform Them on Images" (2021).

    Args:
        ladder: The networks.
        soft_clamp: c, above 0; None for no bounds.
        relative: Whether posteriors are told by their difference from the prior.

    Raises:
        ValueError: `soft_clamp` is not above 0.
    """

    ladder: LadderNetwork
    soft_clamp: float | None = 5.0
    relative: bool = True

    def __post_init__(self) -> None:
        if self.soft_clamp is not None and not self.soft_clamp > 0:
            raise ValueError(f"soft_clamp must be above 0, or null for no bounds, got {self.soft_clamp}")

    @property
    def sizes(self) -> list[int]:
        """Units of every group."""
        return [math.prod(shape) for shape in self.ladder.group_shapes]

    def descend(self, noise: Tensor, image: Tensor | None = None) -> Descent:
        """Draw all groups from the top: from the posteriors where an image is seen, else from the priors.

        Args:
            noise: Standard normal numbers (B, D) of all groups; zeros take the means.
            image: Images (B, C, H, W) as observed, or None.
        """
        seen = None if image is None else self.ladder.features(image)
        state, drawn, kl, log_ratio = self.ladder.start(noise.shape[0]), [], [], []
        parts = noise.split(self.sizes, 1)
        for group, (shape, part) in enumerate(zip(self.ladder.group_shapes, parts, strict=True)):
            given, state = self.ladder.prior(group, state)
            prior = self._law(torch.zeros_like(given) if group == 0 else given)
            law = (
                prior
                if seen is None
                else self._posterior(group, self.ladder.posterior(group, state, seen[group]), prior)
            )
            latent = law.rsample(part.unflatten(1, shape))
            kl.append(divergence(law, prior))
            log_ratio.append(prior.log_prob(latent) - law.log_prob(latent))
            drawn.append(((latent - prior.mean) * (-prior.log_variance / 2).exp()).flatten(1))
            state = self.ladder.absorb(group, state, latent)
        raw = self.ladder.output(state)
        return Descent(raw, torch.cat(drawn, 1), torch.stack(kl, 1), torch.stack(log_ratio, 1).sum(1))

    def _posterior(self, group: int, parameters: Tensor, prior: DiagonalGaussian) -> DiagonalGaussian:
        law = self._law(parameters)
        if not self.relative or group == 0:
            return law
        return DiagonalGaussian(prior.mean + law.mean, prior.log_variance + law.log_variance)

    def _law(self, parameters: Tensor) -> DiagonalGaussian:
        law = DiagonalGaussian.from_parameters(parameters)
        if self.soft_clamp is None:
            return law
        c = self.soft_clamp
        return DiagonalGaussian(c * (law.mean / c).tanh(), 2 * c * (law.log_variance / (2 * c)).tanh())


def divergence(one: DiagonalGaussian, other: DiagonalGaussian) -> Tensor:
    """KL(one || other) (B,) in nats, summed over units."""
    ratio = one.log_variance - other.log_variance
    square = (one.mean - other.mean).square() * (-other.log_variance).exp()
    return ((square + ratio.expm1() - ratio) / 2).flatten(1).sum(1)


def balance(kl: Tensor, sizes: Sequence[int]) -> Tensor:
    """Factors (groups,) of mean 1 on the divergences of groups, in proportion to the nats of a unit, without gradient.

    Groups that carry more for their size are held back, so that others are not left unused at the start.

    Reference: Vahdat and Kautz (2020), appendix A, "KL balancing".

    Args:
        kl: Mean divergence (groups,) of every group over the whole batch.
        sizes: Units of every group.
    """
    share = kl.detach() / kl.new_tensor(sizes)
    return share * len(share) / share.sum().clamp(min=torch.finfo(share.dtype).tiny)
