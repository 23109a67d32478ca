"""The quantised autoencoder: images as grids of whole numbers, and back."""

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, Noise
from genexp.families.base import Family, Terms, Update
from genexp.latents.coding import compared, give_heads
from genexp.latents.maps import NetworkCoder
from genexp.latents.quantised import Assigned, Quantiser, usage_terms
from genexp.losses.reconstruction import ReconstructionLikelihood
from genexp.ramps import Constant, Ramp
from genexp.tensors import BatchNoise, Grid, IndexedNoise


@runtime_checkable
class OnGrid(Protocol):
    """A network from or to features on a grid of places (h, w)."""

    grid: tuple[int, int]


@runtime_checkable
class Takes(Protocol):
    """A network whose first layer can read any number of features before it is trained."""

    def take(self, numbers: int) -> None:
        """Read so many numbers of every place."""
        ...


@runtime_checkable
class MapNetwork(Protocol):
    """A network of convolutions between images of any size and features of places of `factor` pixels a side."""

    factor: int


@runtime_checkable
class MapDecoding(MapNetwork, Protocol):
    """One that says how far a pixel looks among the places."""

    reach: int | None


class QuantisedAutoencoder(Family):
    """An encoder to features, each of which becomes one of K codes, and a decoder p(x | codes).

    loss = -log p(x | codes) + commitment ||features - vectors||^2, summed over pixels and places, averaged over the
    batch; gradients pass the quantiser straight through. Under a prior that gives all codes the same probability,
    log p(x) >= log p(x | codes) - h w log K for the codes of x, with which one of the summands of p(x) = sum over all
    codes is known: this is `elbo`, a true bound, and loose where codes are not used evenly. A density that learns the
    codes (model=likelihood with a codec) takes its own in place of the second term.

    Reference: van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (2017).

    Args:
        encoder: Maps images to features (B, D, h, w); its `grid` is (h, w).
        decoder: Maps vectors (B, D, h, w) to raw values of the image's shape.
        quantiser: Between features and codes.
        reconstruction: What the raw values mean.
        optimizer: Builds the one optimiser of encoder, decoder and reconstruction.
        commitment: Factor on the squared distance of features from their vectors, in nats; of a quantiser whose
            features are drawn to nothing it does nothing.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm, or None.

    Raises:
        ValueError: an argument is out of range, or the networks have different grids.
        TypeError: a network is of no grid.
    """

    averaged_modules = ()  # averaged weights of an encoder would not find the codes of the codebook beside it
    exact = False

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        quantiser: Quantiser,
        reconstruction: ReconstructionLikelihood,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        commitment: float = 0.25,
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if commitment < 0:
            raise ValueError(f"commitment must not be negative, got {commitment}")
        if not reconstruction.is_likelihood:
            kind = type(reconstruction).__name__
            raise ValueError(f"reconstruction must be a likelihood, whose nats codes are weighed against, got {kind}")
        for name, network in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(network, OnGrid):
                raise TypeError(f"{name} must have a grid of features, got {type(network).__name__}")
        if encoder.grid != decoder.grid:
            raise ValueError(f"decoder must have the encoder's grid {encoder.grid}, got {decoder.grid}")
        self.encoder, self.decoder, self.quantiser, self.reconstruction = encoder, decoder, quantiser, reconstruction
        give_heads(encoder, quantiser.size, decoder, reconstruction.outputs)
        if isinstance(decoder, Takes):
            decoder.take(quantiser.size)
        self.code_shape, self.codes, self.commitment = tuple(encoder.grid), quantiser.codes, commitment
        self.latent_shape: tuple[int, ...] = self.code_shape
        self._used: Tensor | None = None
        update = Update(optimizer, lambda: list(self.parameters()), learning_rate=learning_rate, clip=clip)
        self.register_update("autoencoder", update)

    # Training and validation

    def on_fit_start(self) -> None:
        """Refuse more codes than the training images have places."""
        images = self.trainer.datamodule.drawn_size("train")
        places = images * math.prod(self.code_shape)
        if self.codes > places:
            grid = f"{self.code_shape[0]} x {self.code_shape[1]}"
            raise ValueError(
                f"model.quantiser must have at most {places} codes, one for every place ({grid}) of the {images} "
                f"training images, got {self.codes}"
            )

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the loss, after which the quantiser follows the features of the whole batch."""
        noise, seen = BatchNoise(batch["image"]), []
        batch = {**self.observe(batch, noise), "key": noise.uniform(*self.code_shape)}
        terms = self.update("autoencoder", batch, lambda part: self._loss(part, seen))
        features, code = (torch.cat([part[place] for part in seen]) for place in range(2))
        self.quantiser.learn(features, code, batch["key"])
        used = code.flatten().bincount(minlength=self.codes)
        return {f"train/{name}": value for name, value in (terms | usage_terms(used)).items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """The bound by a prior of equal codes, and bits per dimension where the data are discrete."""
        batch = self.observe(batch, BatchNoise(batch["image"]))
        found, nll = self._coded(batch)
        used = found.code.flatten().bincount(minlength=self.codes)
        self._used = used if self._used is None else self._used + used
        terms = {"elbo": -nll - self._rate, "reconstruction": nll, "commitment": found.commitment}
        if self.levels is not None:
            terms["bits_per_dim"] = -terms["elbo"] / (batch["image"][0].numel() * math.log(2))
        return {f"val/{name}": value.mean() for name, value in terms.items()}

    def validation_means(self) -> dict[str, float]:
        """The means of the base class, and how many codes the whole held-out set uses."""
        means, used, self._used = super().validation_means(), self._used, None
        if means and used is not None:
            terms = usage_terms(self.trainer.strategy.reduce(used.double(), reduce_op="sum"))
            means |= {f"val/{name}": float(value) for name, value in terms.items()}
        return means

    def _loss(self, batch: Batch, seen: list[tuple[Tensor, Tensor]]) -> Terms:
        features = self.encoder(batch["image"])
        found = self.quantiser(features)
        seen.append((features.detach(), found.code))
        nll = self.reconstruction(self.decoder(found.embedded), batch["image"])
        terms = {"loss": nll, "reconstruction": nll, "elbo": -nll - self._rate}
        if self.quantiser.commits:
            terms |= {"loss": nll + self.commitment * found.commitment, "commitment": found.commitment}
        return {name: value.mean() for name, value in (terms | self.reconstruction.terms()).items()}

    def _coded(self, batch: Batch) -> tuple[Assigned, Tensor]:
        """What an observed batch is coded as, and -log p(x | codes) (B,) in nats."""
        found = self.quantiser(self.encoder(batch["image"]))
        return found, self.reconstruction(self.decoder(found.embedded), batch["image"])

    # The density of data

    @property
    def _rate(self) -> float:
        """Nats of an image's codes where all are as likely."""
        return math.prod(self.code_shape) * math.log(self.codes)

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood is a probability."""
        return self.reconstruction.levels

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it."""
        image = batch["image"]
        return {**batch, "image": self.reconstruction.observe(image, noise.uniform(*image.shape[1:]))}

    def log_prob(self, batch: Batch) -> Tensor:
        """log p(x | codes) - h w log K (B,) in nats: a bound from below, by a prior of equal codes."""
        return -self._coded(batch)[1] - self._rate

    def code_lengths(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x | codes) (B,) and the nats of the codes (B, 1), the same for all."""
        nll = self._coded(batch)[1]
        return nll, torch.full_like(nll, self._rate)[:, None]

    def log_likelihood_of(self, batch: Batch, code: Tensor) -> Tensor:
        """log p(x | codes) (B,) in nats of an observed batch, given codes (B, h, w)."""
        return -self.reconstruction(self.decoder(self.quantiser.embed(code)), batch["image"])

    # Using a trained model

    def tokens(self, image: Tensor) -> Tensor:
        """The codes (B, h, w) of images (B, C, H, W) as the likelihood observes them."""
        return self.quantiser(self.encoder(image)).code

    def from_tokens(self, code: Tensor) -> Tensor:
        """Mean images (B, C, H, W) in [-1, 1] of codes (B, h, w)."""
        return self.reconstruction.mean(self.decoder(self.quantiser.embed(code)))

    def map_coder(self) -> NetworkCoder | None:
        """Between images and features before they are quantised, which is a part of decoding.

        Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3.1.
        """
        if not (isinstance(self.encoder, MapNetwork) and isinstance(self.decoder, MapDecoding)):
            return None

        def decode(features: Tensor) -> Tensor:
            return self.reconstruction.mean(self.decoder(self.quantiser(features).embedded))

        return NetworkCoder(self.quantiser.size, self.encoder.factor, self.decoder.reach, self.encoder, decode)

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Mean images of standard normal latents (B, h, w), whose quantiles are codes, all as likely."""
        if torch.compiler.is_exporting():  # onnxruntime has no error function of float64: the same codes by their edges
            edges = [NormalDist().inv_cdf(code / self.codes) for code in range(1, self.codes)]
            return self.from_tokens((latent.double()[..., None] >= torch.tensor(edges, dtype=torch.float64)).sum(-1))
        return self.from_tokens((torch.special.ndtr(latent.double()) * self.codes).long().clamp(max=self.codes - 1))

    def reconstruct(self, batch: Batch) -> Tensor:
        """Images as they come back."""
        return self.from_tokens(self.tokens(batch["image"]))

    @torch.no_grad()
    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Pictures beside the samples: reconstructions under their originals."""
        batch = self.observe(batch, noise)
        return {"reconstruction": compared(batch["image"], self.reconstruct(batch))}
