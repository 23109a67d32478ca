"""A GAN of images made of smaller or spoilt pictures, which begins as a network of the least error."""

from typing import Any

from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch
from genexp.families.base import Terms
from genexp.families.gan import GAN

ALONE = "reconstruction"


class SuperResolution(GAN):
    """Generator and critic of restored pictures: SRGAN, ESRGAN.

    For the first `reconstruction_first` images the generator learns by its penalty `reconstruction` alone and the
    critic waits; both papers begin so, with a training of its own. Images are cut to [-1, 1] when drawn.

    References: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network"
    (2017); Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (2018).

    Args:
        reconstruction_first: Images at the beginning, at least 0.
        settings: As for `GAN`.

    Raises:
        ValueError: it is negative, or there is no such penalty, and as for `GAN`.
    """

    def __init__(self, reconstruction_first: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        if reconstruction_first < 0:
            raise ValueError(f"reconstruction_first must be at least 0, got {reconstruction_first}")
        if reconstruction_first and ALONE not in self.penalties.parts:
            raise ValueError(f"reconstruction_first must be 0 without generator_penalties.{ALONE}, got more")
        self.reconstruction_first = reconstruction_first

    @property
    def alone(self) -> bool:
        """Whether the generator still learns without the critic."""
        return self.images_seen < self.reconstruction_first

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of latents (B, *latent_shape) and their pictures."""
        return super().decode(latent, condition).clamp(-1, 1)

    def train_batch(self, batch: Batch) -> Terms:
        """A step of the generator alone, or as for `GAN`."""
        if not self.alone:
            return super().train_batch(batch)
        terms = self.update("generator", self._draw(batch), self._first_terms)
        return {f"train/generator/{name}": value for name, value in terms.items()}

    def _first_terms(self, part: Batch) -> Terms:
        condition = self.conditioning.told(part)
        step = self._step(part, condition, self.generator(part["latent"], condition))
        value = self.penalties.parts[ALONE](step).mean()
        return {"loss": value, f"penalty/{ALONE}": value}
