"""What densities of one pixel value after the other have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning, ConditionKind
from genexp.contracts import Batch, Noise
from genexp.contracts.in_order import Place, Steps, Stepwise
from genexp.tensors import from_levels, to_levels

MOST_LEVELS = 2**16
"""Pixels have at most 256 levels; grids of codes may have more."""


class InOrder(nn.Module, ABC):
    """log p(x) = sum_i log p(x_i | x_1 .. x_i-1) over the values of an image at evenly spread levels.

    Data are taken at the nearest of these levels, so that the probability is that of images with so many grey levels.

    Args:
        network: What is known of a value from those before it.
        image_shape: Of an image (C, H, W), or of a grid of codes.
        levels: Values that a pixel may have, 2 to 65,536.
        num_classes: Number of classes, or None: labels are then not used.
        conditions: What else it is told, by name.

    Raises:
        ValueError: `levels` or `image_shape` is out of range, or the network reads other conditions.
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
        if not 2 <= levels <= MOST_LEVELS:
            raise ValueError(f"levels must lie in [2, {MOST_LEVELS}], got {levels}")
        if len(image_shape) != 3:
            raise ValueError(f"image_shape must be that of images, [C, H, W], got {list(image_shape)}")
        self.network, self.image_shape, self.levels = network, tuple(image_shape), levels
        self.conditioning = Conditioning.of(num_classes, conditions)
        self.conditioning.require_read_by(network, "network")

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """How often the network runs for an image that is drawn."""

    @abstractmethod
    def log_prob(self, batch: Batch) -> Tensor:
        """Nats (B,) of observed images, in float32 or better."""

    @abstractmethod
    def logits(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""

    @abstractmethod
    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The same logits (B, levels) for one value of `num` images after the other."""

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch with images at the nearest levels; nothing is random."""
        return {**batch, "image": from_levels(to_levels(batch["image"], self.levels), self.levels)}

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """What the network says of images (B, C, H, W) in [-1, 1]."""
        return self.network(image, condition)

    def outputs(self, num: int, condition: Condition) -> Steps:
        """What the network says place by place: remembered where it can, else it runs over whole images."""
        if isinstance(self.network, Stepwise):
            return self.network.steps(num, condition)
        return WholeImages(self.network, condition)


class WholeImages:
    """The outputs of a network for one place, of which all others are thrown away.

    Args:
        network: Maps images (B, C, H, W) and a condition to (B, N, C, H, W), or to (B, N, H, W).
        condition: What the images are drawn under.
    """

    def __init__(self, network: nn.Module, condition: Condition) -> None:
        self.network, self.condition = network, condition

    def __call__(self, image: Tensor, place: Place) -> Tensor:
        """Numbers (B, N) for the value at `place`, or for its pixel."""
        found = self.network(image, self.condition)
        channel, row, column = place
        return found[:, :, row, column] if found.ndim == 4 else found[:, :, channel, row, column]
