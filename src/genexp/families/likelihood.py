"""Models that are trained on the likelihood of the data itself: autoregressive models, flows, bounds of other kinds."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Conditioning, ConditionKind
from genexp.contracts import Batch, Density, StartsFromData
from genexp.contracts.tokenisers import Tokeniser
from genexp.densities.in_order import InOrder
from genexp.densities.token_density import TokenDensity
from genexp.families.base import Family, Terms, Update
from genexp.ramps import Constant, Ramp
from genexp.tensors import BatchNoise


class Likelihood(Family):
    """A density, trained to make the data as likely as it can: loss = -log p(x), in nats of a whole image.

    Args:
        density: A module that is a `Density`.
        optimizer: Builds its optimiser.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm, in nats, or None.
        num_classes: Number of labels that the density is conditioned on, or None.
        conditions: What else it is conditioned on, by name.
        codec: A finished tokeniser, of whose codes the density is; None for images.

    Raises:
        TypeError: `density` is none.
        ValueError: there is a codec, and the density is not of its codes.
    """

    averaged_modules = ("density",)

    def __init__(
        self,
        density: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
        num_classes: int | None = None,
        conditions: Mapping[str, ConditionKind] | None = None,
        codec: Tokeniser | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(density, Density):
            raise TypeError(f"density must have levels, exact, observe and log_prob, got {type(density).__name__}")
        if codec is not None and not isinstance(density, InOrder):
            raise ValueError(f"codec must be null but for densities in order, got one with {type(density).__name__}")
        self.density = density
        self.of_tokens = None if codec is None else TokenDensity(density, codec)
        self.conditioning = Conditioning.of(num_classes, conditions)
        self.register_update(
            "density", Update(optimizer, lambda: list(density.parameters()), learning_rate=learning_rate, clip=clip)
        )

    def source(self) -> object:
        """The density, from which samplers draw: of images, if need be by their codes."""
        return self.density if self.of_tokens is None else self.of_tokens

    def train_batch(self, batch: Batch) -> Terms:
        """One step on the mean negative log-likelihood."""
        observed = self._observed(batch)
        if isinstance(self.density, StartsFromData):
            self.density.start_from(observed)
        terms = self.update("density", observed, lambda part: self._terms(part))
        return {f"train/{name}": value for name, value in terms.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """The same terms of held-out images."""
        return {f"val/{name}": value for name, value in self._terms(self._observed(batch)).items()}

    def _observed(self, batch: Batch) -> Batch:
        if self.of_tokens is not None:
            batch = self.of_tokens.coded(batch, BatchNoise)
        return self.density.observe(batch, BatchNoise(batch["image"]))

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """Nats of an image, or of its codes, as `loss`, and bits of a value, or of a code, where these have levels."""
        loss = -self.density.log_prob(batch).mean()
        if self.density.levels is None:
            return {"loss": loss}
        return {"loss": loss, "bits_per_dim": loss / (batch["image"][0].numel() * math.log(2))}
