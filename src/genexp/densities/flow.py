"""Normalising flows: an invertible transform between data and standard normal noise."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch, Noise
from genexp.densities.dequantisation import Dequantisation, Untouched
from genexp.flows.scaled import Centred, Logit
from genexp.flows.transform import Chain, Transform
from genexp.tensors import IndexedNoise, from_levels, require_image_shape, to_levels


class NormalizingFlow(nn.Module):
    """log p(x) = log N(z; 0, I) + log |det dz/dx|, z = transform(x); x = transform^-1(z) draws.

    Values with levels are dequantised first, which makes of log p a lower bound on that of the level, and taken from
    [0, 1] to [-1, 1] or by a logit to the real line; the Jacobians of both are counted. Draws go back to the levels.

    Reference: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017).

    Args:
        transform: Builds the transform, from the shape of a sample.
        image_shape: Of a sample: (C, H, W) of an image, (D,) of a point.
        dequantisation: How noise within a level is drawn; `Untouched` exactly where there are no levels.
        levels: Values that a pixel may have, 2 to 256; None for data of real values, whose density is exact.
        logit: How far values keep from 0 and 1 before their logit is taken, in (0, 0.5); None for no logit.
        num_classes: Number of classes, or None: labels are then not used.
        conditions: What else it is told, by name.

    Raises:
        ValueError: an argument is out of range, or does not go with `levels`.
    """

    def __init__(
        self,
        transform: Callable[[Sequence[int]], Transform],
        image_shape: Sequence[int],
        dequantisation: Dequantisation,
        levels: int | None = 256,
        logit: float | None = None,
        num_classes: int | None = None,
        conditions: Mapping[str, ConditionKind] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape, self.levels = tuple(image_shape), levels
        self._require(dequantisation, logit)
        self.dequantisation = dequantisation
        self.range: Transform = Chain([]) if levels is None else Centred() if logit is None else Logit(logit)
        self.transform = transform(self.image_shape)
        self.latent_shape = (math.prod(self.image_shape),)
        self.conditioning = Conditioning.of(num_classes, conditions)
        self.conditioning.require_read_by(self.transform, "transform")
        self._begun = False

    def _require(self, dequantisation: Dequantisation, logit: float | None) -> None:
        untouched = isinstance(dequantisation, Untouched)
        if self.levels is None:
            if not untouched:
                raise ValueError("dequantisation must be none where levels is null: real values are in no level")
            if logit is not None:
                raise ValueError(f"logit must be null where levels is null, got {logit}")
            return
        if not 2 <= self.levels <= 256:
            raise ValueError(f"levels must lie in [2, 256] or be null, got {self.levels}")
        if len(self.image_shape) != 3:
            raise ValueError(f"levels must be null for points, got {self.levels}")
        if untouched:
            raise ValueError(f"dequantisation must be uniform or variational for {self.levels} levels, got none")

    # The density of data

    @property
    def exact(self) -> bool:
        """Whether log p is a value rather than a lower bound."""
        return self.levels is None

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch with images at the nearest levels and the noise within them; points as they are."""
        if self.levels is None:
            return batch
        image = from_levels(to_levels(batch["image"], self.levels), self.levels).to(batch["image"].dtype)
        return {**batch, "image": image, "noise": self.dequantisation.draw(image, noise)}

    def log_prob(self, batch: Batch) -> Tensor:
        """Nats (B,) of an observed batch, in float32 or better: of its levels from below, of real values exactly."""
        condition = self.conditioning.told(batch)
        values, log_q = self._values(batch, condition)
        x, ranged = self.range(values)
        z, log_det = self(x, condition)
        normal = -(z.square() + math.log(2 * math.pi)).flatten(1).sum(1) / 2
        return normal + log_det + ranged - log_q

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> tuple[Tensor, Tensor]:
        """The transform."""
        return self.transform(x, condition)

    def start_from(self, batch: Batch) -> None:
        """Set from an observed batch, the whole first one of training, what is set from data, unless it has been."""
        if self._begun:
            return
        with torch.no_grad():
            condition = self.conditioning.told(batch)
            values, _ = self._values(batch, condition)
            self.transform.initialise(self.range(values)[0], condition)
        self._begun = True

    def _values(self, batch: Batch, condition: Condition) -> tuple[Tensor, Tensor]:
        """Real values (B, ...) of an observed batch, and what log q(u) and the width of the levels cost, (B,) nats."""
        image = batch["image"]
        require_image_shape(image, self.image_shape)
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        if self.levels is None:
            return image, image.new_zeros(image.shape[0])
        within, log_q = self.dequantisation.within(image, batch["noise"].to(image.dtype), condition)
        values = (to_levels(image, self.levels) + within) / self.levels
        return values, log_q + image[0].numel() * math.log(self.levels)

    # Its latents

    def encode(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The noise (B, D) of images, taken at the middle of their levels."""
        if self.levels is not None:
            image = (to_levels(image, self.levels) + 0.5).to(image.dtype) / self.levels
        return self(self.range(image)[0], condition)[0]

    def latents(self, batch: Batch, noise: IndexedNoise) -> Tensor:
        """The noise (B, D) of a batch, with noise within the levels."""
        condition = self.conditioning.told(batch)
        values, _ = self._values(self.observe(batch, noise), condition)
        return self(self.range(values)[0], condition)[0]

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) at their levels, or points, of noise (B, D)."""
        x, _ = self.transform.inverse(latent, condition)
        values, _ = self.range.inverse(x)
        if self.levels is None:
            return values
        return from_levels((values * self.levels).floor().clamp(0, self.levels - 1).long(), self.levels)
