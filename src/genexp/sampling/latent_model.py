"""Sampling latents from a small network that is trained on the encoded training images after training."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genexp.contracts import Batch, LatentEncoder
from genexp.sampling.latent_mixture import DecodesFitted, encoded_images
from genexp.tensors import IndexedNoise, mix_seed

LAST_RATE = 0.01
"""Share of the learning rate at the end of its half cosine."""


class LatentModel(DecodesFitted, ABC):
    """z = mean + std y, y drawn by a network that is trained on encoded training images; image = decode(z).

    Latents are draws from the encoder's posteriors, one an image, brought to mean 0 and variance 1. The network is
    trained by Adam on the CPU, whatever the device of the model. Every call of `fit` replaces it.

    Args:
        width: Units of a hidden layer, at least 1.
        steps: Of the optimiser, at least 1.
        batch_size: Latents a step, at least 1.
        learning_rate: Above 0; it falls by a half cosine.
        seed: Of the posterior draws, the first weights and the order of latents.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, width: int, steps: int, batch_size: int, learning_rate: float, seed: int) -> None:
        for name, value in {"width": width, "steps": steps, "batch_size": batch_size}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {learning_rate}")
        self.width, self.steps, self.batch_size = width, steps, batch_size
        self.learning_rate, self.seed = learning_rate, seed
        self._fitted: tuple[nn.Module, Tensor, Tensor] | None = None

    @abstractmethod
    def network(self, size: int) -> nn.Module:
        """An untrained network of latents of `size` numbers."""

    @abstractmethod
    def loss(self, network: nn.Module, latents: Tensor) -> Tensor:
        """What training makes small (), of latents (B, D) of variance 1."""

    @abstractmethod
    def drawn(self, network: nn.Module, size: int, noise: IndexedNoise) -> tuple[Tensor, Tensor]:
        """Latents (B, D) of the trained network, each of its own row of the noise, and the first noise (B, D)."""

    def fit(self, model: LatentEncoder, batches: Iterable[Batch]) -> None:
        """Encode images and train the network.

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
            raise ValueError(f"{type(self).__name__} needs at least 2 training images, got {len(latents)}")
        mean, std = latents.mean(0), latents.std(0).clamp(min=1e-6)
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.inference_mode(False):
            torch.manual_seed(mix_seed(self.seed, 2))
            network = self._trained(((latents - mean) / std).float())
        self._fitted = network.eval().requires_grad_(False), mean.float(), std.float()

    def _trained(self, latents: Tensor) -> nn.Module:
        network = self.network(latents.shape[1])
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        for step in range(self.steps):
            share = (1 + math.cos(math.pi * step / self.steps)) / 2
            optimizer.param_groups[0]["lr"] = self.learning_rate * max(share, LAST_RATE)
            loss = self.loss(network, latents[torch.randint(len(latents), (self.batch_size,))])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return network

    @torch.no_grad()
    def start(self, model: LatentEncoder, noise: IndexedNoise) -> Tensor:
        """Latents (B, *latent_shape), each of its own row of the noise.

        Raises:
            TypeError: `model` cannot encode images.
            RuntimeError: `fit` has not been called.
        """
        self.require(model)
        if self._fitted is None:
            raise RuntimeError(f"{type(self).__name__} must be fitted to training images before it draws")
        network, mean, std = self._fitted
        latents, first = self.drawn(network, math.prod(model.latent_shape), noise)
        return (latents * std + mean).to(first).unflatten(1, model.latent_shape)
