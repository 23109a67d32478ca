"""The penalty of generators whose image should look like the real one of the same picture."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from genexp.adversarial.generator_penalties import require_told_picture
from genexp.adversarial.steps import GeneratorStep
from genexp.losses.perceptual import PerceptualLoss


class PerceptualPenalty(nn.Module):
    """weight * sum of mean differences of feature maps of the image and of the real one: see `PerceptualLoss`.

    Images are float32 here under any autocast of the networks that play.

    References: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network"
    (2017), equation 5; Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (2018).

    Args:
        features: Encoder of `model/features`: (images, layers) to feature maps by layer.
        layers: Its layers.
        weight: Factor.
        power: Of the differences, 1 or 2.
        image_size: Side in pixels that images are brought to first, or None: they are seen as they are.
        interval: Generator steps from one evaluation to the next.

    Raises:
        ValueError: an argument is out of range, or there is no such layer.
    """

    scope: ClassVar[Literal["sample"]] = "sample"

    def __init__(
        self,
        features: nn.Module,
        layers: Sequence[str],
        weight: float = 1.0,
        power: int = 1,
        image_size: int | None = None,
        interval: int = 1,
    ) -> None:
        super().__init__()
        self.weight, self.interval = weight, interval
        self.loss = PerceptualLoss(features, layers, power, image_size)

    def follow(self, player: nn.Module) -> None:
        """Refuse a generator that is not told what its image belongs to.

        Raises:
            ValueError: it is told no picture.
        """
        require_told_picture(player, "perceptual")

    def forward(self, step: GeneratorStep) -> Tensor:
        """Penalty (B,); the network is not asked at weight 0."""
        if not self.weight:
            return step.real.new_zeros(len(step.real))
        return self.weight * self.loss(step.image().float(), step.real.float())
