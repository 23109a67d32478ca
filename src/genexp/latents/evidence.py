"""What latents of an encoder say of how likely their images are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.latents.posteriors import LatentLaw, Posterior
from genexp.latents.priors import Prior

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Evidence:
    """What is known of p(x) by K latents z ~ q(z | x) of every image.

    Args:
        law: q(z | x), a row an image.
        latent: z, of shape (B, K, D).
        reconstruction: -log p(x | z) in nats (B, K).
        densities: Gives log q(z | x) and log p(z) in nats (B, K).
        closed_kl: KL(q || p) in nats (B,) where it has a closed form.
        density: log q (B, K) of given latents (B, K, D) by parameters that get no gradient.
        drawn: z as it was drawn (B * K, D), of which all else is made: gradients by it are those by the latents.
        raw: What the decoder made of it (B * K, ...).
        image: The images (B, C, ...) as the likelihood sees them.
        told: What is known beside them, a row an image.
        decoder: The decoder.
        picture: Mean images of what it makes.
        noise: What a bound has drawn for this batch, a row an image.
    """

    law: LatentLaw
    latent: Tensor
    reconstruction: Tensor
    densities: Callable[[], tuple[Tensor, Tensor]]
    closed_kl: Tensor | None
    density: Callable[[Tensor], Tensor]
    drawn: Tensor
    raw: Tensor
    image: Tensor
    told: Condition
    decoder: nn.Module
    picture: Callable[[Tensor], Tensor]
    noise: Mapping[str, Tensor]

    @cached_property
    def _densities(self) -> tuple[Tensor, Tensor]:
        return self.densities()

    @property
    def log_q(self) -> Tensor:
        """log q(z | x) in nats (B, K)."""
        return self._densities[0]

    @property
    def log_p(self) -> Tensor:
        """log p(z) in nats (B, K)."""
        return self._densities[1]

    @cached_property
    def kl_per_unit(self) -> Tensor | None:
        """KL(q || p) of every unit in nats (B, D) where these are independent and it has a closed form."""
        return None if self.closed_kl is None else self.law.kl_per_unit()

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || p(z)) in nats (B,), in closed form or from the latents."""
        return (self.log_q - self.log_p).mean(1) if self.closed_kl is None else self.closed_kl

    @property
    def log_weights(self) -> Tensor:
        """log p(x, z) - log q(z | x) in nats (B, K)."""
        return self.log_p - self.log_q - self.reconstruction

    def code_lengths(self) -> tuple[Tensor, Tensor]:
        """-log p(x | z) (B,), and the divergence of every unit (B, D), or of all together (B, 1), in nats."""
        rates = self.kl[:, None] if self.kl_per_unit is None else self.kl_per_unit
        return self.reconstruction.mean(1), rates

    def terms(self) -> Terms:
        """`elbo` = -reconstruction - kl, and both of these, in nats (B,)."""
        reconstruction, kl = self.reconstruction.mean(1), self.kl
        return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}


def evidence_of(
    batch: Mapping[str, Tensor],
    parameters: Tensor,
    posterior: Posterior,
    prior: Prior,
    encode: Callable[[Tensor], LatentLaw],
    told: Condition,
    decoder: nn.Module,
    picture: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor, int], tuple[Tensor, Tensor]],
    weighed: bool = True,
) -> Evidence:
    """The evidence of images by as many latents as they have noise of.

    Args:
        batch: With `noise` of one latent an image (B, ...), or of K (B, K, ...), and what a bound has drawn.
        parameters: What the encoder gave of the images (B, numbers).
        posterior: What the parameters say.
        prior: p(z).
        encode: q(z | x) of other images, for the prior.
        told: What is known beside the images, a row of each.
        decoder: The decoder.
        picture: Mean images of what it makes.
        decode: What that makes of latents (B * K, D), those of an image one after the other, and of K, with
            -log p(x | z) in nats (B * K,).
        weighed: Whether log q and log p of the latents are computed even where the divergence has a closed form, which
            may do without.
    """
    noise, parameters = batch["noise"], posterior.require(parameters)
    law = every = posterior.law(parameters)
    count = 1 if noise.ndim == 1 + len(posterior.noise_shape) else noise.shape[1]
    if count > 1:
        noise, every = noise.flatten(0, 1), posterior.law(parameters.repeat_interleave(count, 0))
    in_time = weighed or not prior.fixed or not posterior.per_unit
    drawn, log_q = every.sampled(noise) if in_time else (every.rsample(noise), None)
    if torch.is_grad_enabled() and not drawn.requires_grad:  # of a frozen encoder
        drawn.requires_grad_()
    raw, nll = decode(drawn, count)

    def densities() -> tuple[Tensor, Tensor]:
        found = every.sampled(noise)[1] if log_q is None else log_q, prior.log_prob(drawn, encode)
        return found[0].unflatten(0, (-1, count)), found[1].unflatten(0, (-1, count))

    known = densities() if in_time else None
    latent, nll = drawn.unflatten(0, (-1, count)), nll.unflatten(0, (-1, count))
    closed = law.kl() if prior.fixed else None

    def density(given: Tensor) -> Tensor:
        rows = parameters.detach().repeat_interleave(given.shape[1], 0)
        return posterior.density(rows, given.flatten(0, 1)).unflatten(0, given.shape[:2])

    further = {name: rows for name, rows in batch.items() if name.startswith("bound/")}
    ask = densities if known is None else lambda: known
    return Evidence(law, latent, nll, ask, closed, density, drawn, raw, batch["image"], told, decoder, picture, further)


def repeated(rows: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """Named rows (B, ...), each `count` times, one after the other."""
    return rows if count == 1 else {name: each.repeat_interleave(count, 0) for name, each in rows.items()}
