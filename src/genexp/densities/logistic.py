"""Images as a product of mixtures of discretised logistics, of one pixel after the other."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch
from genexp.contracts.in_order import Place, Steps
from genexp.densities.in_order import InOrder
from genexp.logistics import LogisticMixture
from genexp.tensors import to_levels


@runtime_checkable
class OfMixtures(Protocol):
    """A network whose outputs are the numbers of a mixture a pixel, or logits where `mixtures` is None."""

    mixtures: int | None


class AutoregressiveLogistic(InOrder):
    """Each pixel given those before it is a mixture of discretised logistics, whose means of a channel are linear in
    the channels before it; see `LogisticMixture`. Probabilities of all levels sum to one exactly.

    The network maps images (B, C, H, W) and a condition to numbers (B, N, H, W), each of earlier pixels alone.

    Reference: Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and
    Other Modifications" (2017).

    Args:
        network: As said.
        image_shape: Of an image (C, H, W).
        levels: Values that a pixel may have, 2 to 65,536.
        mixtures: Components of a mixture.
        settings: Everything else that `InOrder` takes.

    Raises:
        ValueError: a number is out of range, or the network gives no numbers of so many components.
    """

    def __init__(
        self,
        network: nn.Module,
        image_shape: Sequence[int],
        levels: int = 256,
        mixtures: int = 10,
        **settings: Any,
    ) -> None:
        super().__init__(network, image_shape, levels, **settings)
        if not isinstance(network, OfMixtures) or network.mixtures != mixtures:
            raise ValueError(
                f"network must give the numbers of {mixtures} mixtures a pixel, as gated_pixelcnn, pixelcnn_pp and "
                f"pixelsnail do with mixtures={mixtures}, got {type(network).__name__}"
            )
        self.mixtures = mixtures

    @property
    def evaluations(self) -> int:
        """Once for every pixel, whose channels follow from the same numbers."""
        return self.image_shape[1] * self.image_shape[2]

    def log_prob(self, batch: Batch) -> Tensor:
        """Nats (B,) of observed images, in float32 or better."""
        image = batch["image"]
        mixture = self.mixture(self(image, self.conditioning.told(batch)))
        return mixture.log_prob(to_levels(image, self.levels)).flatten(1).sum(1)

    def logits(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to log-probabilities (B, levels, C, H, W)."""
        mixture, level = self.mixture(self(image, condition)), to_levels(image, self.levels)
        return torch.stack([mixture.conditional(level, channel) for channel in range(image.shape[1])], dim=2)

    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The same log-probabilities (B, levels) for one value of `num` images after the other."""
        return _PixelSteps(self, self.outputs(num, condition))

    def mixture(self, numbers: Tensor) -> LogisticMixture:
        """Numbers (B, N, *places) of the network as mixtures."""
        return LogisticMixture.of(numbers, self.image_shape[0], self.mixtures, self.levels)


class _PixelSteps:
    """The network is asked once for a pixel, whose channels then follow from its mixture."""

    def __init__(self, density: AutoregressiveLogistic, outputs: Steps) -> None:
        self.density, self.outputs = density, outputs
        self.pixel, self.mixture = (-1, -1), None

    def __call__(self, image: Tensor, place: Place) -> Tensor:
        channel, row, column = place
        if self.mixture is None or self.pixel != (row, column):
            self.pixel, self.mixture = (row, column), self.density.mixture(self.outputs(image, place))
        return self.mixture.conditional(to_levels(image[:, :, row, column], self.density.levels), channel)
