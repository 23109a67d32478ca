"""A network that makes an image of one picture, trained against the real image of that picture."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch
from genexp.families.base import Family, Terms
from genexp.families.updates import Update
from genexp.losses.picture_losses import PictureLoss
from genexp.ramps import Constant, Ramp


class OfLatentAndPicture(Protocol):
    """A generator of images (B, C, H, W) of latents (B, *latent_shape) and the pictures of a condition."""

    latent_shape: tuple[int, ...]

    def __call__(self, latent: Tensor, condition: Condition) -> Tensor: ...


class Restoration(Family):
    """Super-resolution, denoising, inpainting, or any other image that is known beside a picture of it.

    loss = sum_k weight_k loss_k(G(z, y), x) of image x and its picture y, which a degradation makes of the image or the
    data have. What is random in a degradation, and the latent z of a generator that has one, is drawn once a step. What
    is held out is degraded in the same way every time.

    It is drawn from like any generator that is told pictures, and so may be one's beginning (`initial=run`): a GAN's
    whose generator is the same.

    Args:
        generator: Makes images of latents and the picture.
        conditions: What it is told; one at least is a picture.
        losses: The losses by the name they are logged under, each with its `weight`.
        optimizer: Builds the optimiser of the generator.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest global gradient norm, or None.

    Raises:
        ValueError: there is no picture, or no loss with a weight, or the generator reads other conditions.
    """

    averaged_modules = ("generator",)

    def __init__(
        self,
        generator: nn.Module,
        conditions: Mapping[str, ConditionKind],
        losses: Mapping[str, PictureLoss],
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
    ) -> None:
        super().__init__()
        self.conditioning = Conditioning(conditions)
        if not self.conditioning.pictures:
            raise ValueError(f"conditions must hold a picture that images are made of, got {self.conditioning}")
        self.conditioning.require_read_by(generator, "generator")
        self.losses = {name: loss for name, loss in losses.items() if loss.weight}
        if not self.losses:
            raise ValueError("losses must hold at least one with a weight above 0, got none")
        if "loss" in self.losses:
            raise ValueError("losses must have names other than loss, which is that of their sum, got loss")
        self.networks = nn.ModuleDict({name: loss for name, loss in self.losses.items() if isinstance(loss, nn.Module)})
        self.generator = generator
        self.register_update("generator", Update(optimizer, self._own_parameters, learning_rate, clip))

    def _own_parameters(self) -> list[nn.Parameter]:
        return list(self.generator.parameters())

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of the generator's latents."""
        return tuple(self.generator.latent_shape)

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of latents (B, *latent_shape) and their pictures."""
        return self.generator(latent, condition).clamp(-1, 1)

    def train_batch(self, batch: Batch) -> Terms:
        """One step; the loss and every term of it, without its weight, under `train/`."""
        drawn = {"image": batch["image"], **self.conditioning.told(batch, anew=True), "latent": self._latents(batch)}
        return {f"train/{name}": value for name, value in self.update("generator", drawn, self._terms).items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """The same terms on held-out images, under `val/`."""
        drawn = {**batch, **self.conditioning.told(batch), "latent": self._latents(batch)}
        return {f"val/{name}": value for name, value in self._terms(drawn).items()}

    def _latents(self, batch: Batch) -> Tensor:
        return torch.randn(len(batch["image"]), *self.latent_shape, device=batch["image"].device)

    def _terms(self, part: Batch) -> Terms:
        image = self.generator(part["latent"], self.conditioning.told(part))
        terms = {name: loss(image, part["image"]).mean() for name, loss in self.losses.items()}
        return {"loss": sum(self.losses[name].weight * value for name, value in terms.items()), **terms}
