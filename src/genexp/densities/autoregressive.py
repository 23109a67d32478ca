"""Images as a product of distributions of one pixel value after the other."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch, Noise
from genexp.tensors import from_levels, to_levels


class AutoregressiveCategorical(nn.Module):
    """log p(x) = sum_i log p(x_i | x_1 .. x_i-1), each factor a softmax over `levels` values.

    Data are taken at the nearest of these levels, so that the probability is that of images with so many grey levels.

    Reference: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016).

    Args:
        network: Maps images (B, C, H, W) and a condition to logits (B, levels, C, H, W), each of the values before it
            alone.
        image_shape: Of an image (C, H, W).
        levels: Values that a pixel may have, 2 to 256.
        num_classes: Number of classes, or None: labels are then not used.
        conditions: What else it is told, by name.

    Raises:
        ValueError: `levels` or `image_shape` is out of range.
    """

    exact = True

    def __init__(
        self,
        network: nn.Module,
        image_shape: Sequence[int],
        levels: int = 256,
        num_classes: int | None = None,
        conditions: Mapping[str, ConditionKind] | None = None,
    ) -> None:
        super().__init__()
        if not 2 <= levels <= 256:
            raise ValueError(f"levels must lie in [2, 256], got {levels}")
        if len(image_shape) != 3:
            raise ValueError(f"image_shape must be that of images, [C, H, W], got {list(image_shape)}")
        self.network, self.image_shape, self.levels = network, tuple(image_shape), levels
        self.conditioning = Conditioning.of(num_classes, conditions)
        self.conditioning.require_read_by(network, "network")

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch with images at the nearest levels; nothing is random."""
        return {**batch, "image": from_levels(to_levels(batch["image"], self.levels), self.levels)}

    def log_prob(self, batch: Batch) -> Tensor:
        """Nats (B,) of observed images, in float32 or better."""
        image = batch["image"]
        logits = self.logits(image, self.conditioning.told(batch)).float()
        return -cross_entropy(logits, to_levels(image, self.levels), reduction="none").flatten(1).sum(1)

    def logits(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""
        return self(image, condition)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The logits."""
        return self.network(image, condition)
