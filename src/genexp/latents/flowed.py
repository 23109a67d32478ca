"""Posteriors that are a Gaussian moved by invertible maps, which an encoder says of every image."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genexp.flows.transform import Change, Transform
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.posteriors import Posterior

STEEPEST = 0.999
"""How near a planar map may come to folding, at 1."""


@dataclass(frozen=True)
class Flowed:
    """z = f(e), e ~ N(mean, diag(variance)): log q(z) = log q(e) - log |det df/de|.

    Args:
        base: The law of e (B, D).
        change: f with the log |det| (B,) of its Jacobian.
    """

    base: DiagonalGaussian
    change: Callable[[Tensor], Change]

    @property
    def mean(self) -> Tensor:
        """What the mean of e becomes (B, D)."""
        return self.change(self.base.mean)[0]

    def rsample(self, noise: Tensor) -> Tensor:
        """f of mean + std * noise (B, D)."""
        return self.change(self.base.rsample(noise))[0]

    def sampled(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`rsample` with its log-density in nats (B,)."""
        before, log_prob = self.base.sampled(noise)
        latent, log_det = self.change(before)
        return latent, log_prob - log_det

    def kl(self) -> None:
        """None: it has no closed form."""

    def kl_per_unit(self) -> None:
        """None: units depend on each other."""


class _Steps(Posterior):
    """A Gaussian of independent units through `depth` maps whose numbers the encoder gives after the Gaussian's."""

    per_unit = False
    explicit = False

    def __init__(self, latent_size: int, depth: int = 4) -> None:
        super().__init__(latent_size)
        if depth < 1:
            raise ValueError(f"depth must be at least 1 map, got {depth}")
        self.depth = depth

    @property
    @abstractmethod
    def of_a_step(self) -> int:
        """Numbers of one map."""

    @property
    def numbers(self) -> int:
        """Those of the Gaussian and of all maps."""
        return 2 * self.latent_size + self.depth * self.of_a_step

    def law(self, parameters: Tensor) -> Flowed:
        """The moved Gaussians."""
        gaussian, rest = self.require(parameters).tensor_split([2 * self.latent_size], 1)
        steps = rest.chunk(self.depth, 1)

        def change(latent: Tensor) -> Change:
            total = latent.new_zeros(len(latent))
            for step in steps:
                latent, log_det = self.step(latent, step)
                total = total + log_det
            return latent, total

        return Flowed(DiagonalGaussian.from_parameters(gaussian), change)

    @abstractmethod
    def step(self, latent: Tensor, numbers: Tensor) -> Change:
        """One map of latents (B, D) by its numbers (B, of_a_step)."""


class Planar(_Steps):
    """z + u tanh(w z + b), with w u > -1 so that it has an inverse: u is moved along w until w u is m(w u).

    m(x) = c (softplus(x + log(e - 1)) - 1) with c just below 1, where the paper has softplus(x) - 1: so m(0) = 0, and
    numbers about 0 are a map about the identity.

    Reference: Rezende and Mohamed, "Variational Inference with Normalizing Flows" (2015), equations 10 to 12 and
    appendix A.1.

    Args:
        latent_size: Units D of the latent.
        depth: Maps, at least 1.

    Raises:
        ValueError: a number is below 1.
    """

    formula = "2 * latent_size + depth * (2 * latent_size + 1)"

    @property
    def of_a_step(self) -> int:
        """u, w and b."""
        return 2 * self.latent_size + 1

    def step(self, latent: Tensor, numbers: Tensor) -> Change:
        """One planar map."""
        u, w, b = numbers.split([self.latent_size, self.latent_size, 1], 1)
        along = (w * u).sum(1, keepdim=True)
        square = w.square().sum(1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
        bounded = STEEPEST * (softplus(along + math.log(math.e - 1)) - 1)
        u = u + (bounded - along) * w / square
        bent = torch.tanh((w * latent).sum(1, keepdim=True) + b)
        return latent + u * bent, ((1 - bent.square()) * bounded)[:, 0].log1p()


class Radial(_Steps):
    """z + beta (z - c) / (alpha + |z - c|), with alpha > 0 and beta > -alpha so that it has an inverse.

    Reference: Rezende and Mohamed (2015), equation 14 and appendix A.2.

    Args:
        latent_size: Units D of the latent.
        depth: Maps, at least 1.

    Raises:
        ValueError: a number is below 1.
    """

    formula = "2 * latent_size + depth * (latent_size + 2)"

    @property
    def of_a_step(self) -> int:
        """c, alpha and beta."""
        return self.latent_size + 2

    def step(self, latent: Tensor, numbers: Tensor) -> Change:
        """One radial map."""
        centre, alpha, beta = numbers.split([self.latent_size, 1, 1], 1)
        alpha = softplus(alpha)
        beta = softplus(beta) - alpha
        off = latent - centre
        radius = off.square().sum(1, keepdim=True).clamp(min=torch.finfo(off.dtype).tiny).sqrt()
        pull = beta / (alpha + radius)
        log_det = (self.latent_size - 1) * pull.log1p() + (pull * alpha / (alpha + radius)).log1p()
        return latent + pull * off, log_det[:, 0]


class FlowPosterior(nn.Module, Posterior):
    """A Gaussian of independent units through a transform with weights of its own, told features of the image.

    With masked autoregressive layers it is inverse autoregressive flow: draws and their density are fast.

    Reference: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow" (2016), algorithm 1.

    Args:
        latent_size: Units D of the latent.
        transform: Builds the transform, from (D,): its way there is from the Gaussian to the latent.
        context: Numbers that an encoder gives beside the Gaussian, told as `context`; 0 for none.

    Raises:
        ValueError: `context` is negative, or the transform is told something else.
    """

    formula = "2 * latent_size + context"
    per_unit = False
    explicit = False

    def __init__(self, latent_size: int, transform: Callable[[Sequence[int]], Transform], context: int = 0) -> None:
        nn.Module.__init__(self)
        Posterior.__init__(self, latent_size)
        if context < 0:
            raise ValueError(f"context must not be negative, got {context}")
        self.context = context
        self.transform = transform((latent_size,))
        if self.transform.reads != (wanted := ("context",) if context else ()):
            read, given = (", ".join(names) or "nothing" for names in (wanted, self.transform.reads))
            raise ValueError(f"transform must read {read} with context={context}, got one that reads {given}")

    @property
    def numbers(self) -> int:
        """Those of the Gaussian and the context."""
        return 2 * self.latent_size + self.context

    def law(self, parameters: Tensor) -> Flowed:
        """The moved Gaussians."""
        gaussian, context = self.require(parameters).tensor_split([2 * self.latent_size], 1)
        told = {"context": context} if self.context else {}
        return Flowed(DiagonalGaussian.from_parameters(gaussian), lambda latent: self.transform(latent, told))
