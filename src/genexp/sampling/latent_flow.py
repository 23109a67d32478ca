"""Sampling latents from a masked autoregressive flow that is fitted to the encoded training images after training."""

import math
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, LatentEncoder, Progress
from genexp.flows.autoregressive import MaskedAutoregressive
from genexp.flows.composed import Vector
from genexp.flows.elementwise import Affine
from genexp.networks.conditioners import MaskedConditioner
from genexp.sampling.latent import decoded
from genexp.sampling.latent_mixture import encoded_images
from genexp.tensors import IndexedNoise, mix_seed

LAST_RATE = 0.01
"""Share of the learning rate at the end of its half cosine."""


class LatentFlow:
    """z = mean + std f^-1(e), e ~ N(0, I), image = decode(z); f is fitted to encoded training images.

    Latents are draws from the encoder's posteriors, one an image. They are brought to mean 0 and variance 1, and f is
    trained on their likelihood by Adam, on the CPU, whatever the device of the model. Every call of `fit` replaces it.

    References: Papamakarios, Pavlakou and Murray, "Masked Autoregressive Flow for Density Estimation" (2017); Ghosh et
    al., "From Variational to Deterministic Autoencoders" (2020), for densities fitted after training.

    Args:
        depth: Autoregressive layers, the order turned round between them, at least 1.
        width: Units of a hidden layer of theirs, at least 1.
        steps: Of the optimiser, at least 1.
        batch_size: Latents a step, at least 1.
        learning_rate: Above 0; it falls by a half cosine.
        seed: Of the posterior draws, the first weights and the order of latents.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        depth: int = 5,
        width: int = 64,
        steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        seed: int = 0,
    ) -> None:
        counts = {"depth": depth, "width": width, "steps": steps, "batch_size": batch_size}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {learning_rate}")
        self.depth, self.width, self.steps, self.batch_size = depth, width, steps, batch_size
        self.learning_rate, self.seed = learning_rate, seed
        self._fitted: tuple[Vector, Tensor, Tensor] | None = None

    def require(self, model: object) -> None:
        """Check that the model can encode images.

        Raises:
            TypeError: it cannot.
        """
        if not isinstance(model, LatentEncoder):
            raise TypeError(f"LatentFlow needs a model that encodes images, got {type(model).__name__}")

    def fit(self, model: LatentEncoder, batches: Iterable[Batch]) -> None:
        """Encode images and fit the flow.

        Args:
            model: Encodes the images.
            batches: Images in a fixed order; the cut into batches does not matter.

        Raises:
            TypeError: `model` cannot encode images.
            ValueError: there are fewer than 2 images, or a latent is not finite.
        """
        self.require(model)
        latents = encoded_images(model, batches, self.seed)
        if len(latents) < 2:
            raise ValueError(f"a flow needs at least 2 training images, got {len(latents)}")
        mean, std = latents.mean(0), latents.std(0).clamp(min=1e-6)
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.inference_mode(False):
            torch.manual_seed(mix_seed(self.seed, 2) % 2**63)
            flow = self._trained(((latents - mean) / std).float())
        self._fitted = flow.eval().requires_grad_(False), mean.float(), std.float()

    def _trained(self, latents: Tensor) -> Vector:
        network = partial(MaskedConditioner, width=self.width)
        block = partial(MaskedAutoregressive, element=Affine(), network=network)
        flow = Vector([latents.shape[1]], block, depth=self.depth)
        optimizer = torch.optim.Adam(flow.parameters(), lr=self.learning_rate)
        for step in range(self.steps):
            share = (1 + math.cos(math.pi * step / self.steps)) / 2
            optimizer.param_groups[0]["lr"] = self.learning_rate * max(share, LAST_RATE)
            noise, log_det = flow(latents[torch.randint(len(latents), (self.batch_size,))])
            loss = (noise.square().sum(1) / 2 - log_det).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return flow

    def start(self, model: LatentEncoder, noise: IndexedNoise) -> Tensor:
        """Latents (B, *latent_shape) of the flow, each of its own row of the noise.

        Raises:
            TypeError: `model` cannot encode images.
            RuntimeError: `fit` has not been called.
        """
        self.require(model)
        if self._fitted is None:
            raise RuntimeError("LatentFlow must be fitted to training images before it draws")
        flow, mean, std = self._fitted
        normal = noise.normal(*model.latent_shape)
        with torch.no_grad():
            latents = flow.inverse(normal.cpu().flatten(1))[0] * std + mean
        return latents.to(normal).view_as(normal)

    @torch.no_grad()
    def run(
        self,
        model: LatentEncoder,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) decoded from the latents `start`."""
        return decoded(model.decode, start, condition, progress)
