"""Images as a product of softmaxes, of one pixel value after the other."""

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, Noise
from genexp.contracts.in_order import Steps
from genexp.densities.in_order import InOrder
from genexp.tensors import in_float32, to_levels

BINARISATIONS = ("none", "dynamic")


class AutoregressiveCategorical(InOrder):
    """Each factor p(x_i | x_1 .. x_i-1) is a softmax over the `levels` values.

    References: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016); Salakhutdinov and
    Murray, "On the Quantitative Analysis of Deep Belief Networks" (2008), for the binarisation.

    Args:
        network: Maps images (B, C, H, W) and a condition to logits (B, levels, C, H, W), each of the values before it
            alone.
        image_shape: Of an image (C, H, W), or of a grid of codes.
        levels: Values that a pixel may have, 2 to 65,536; data are taken at the nearest of them.
        binarise: `none`, or with two levels `dynamic`: every pixel is drawn anew at every visit, with its intensity as
            the probability of white.
        settings: Everything else that `InOrder` takes.

    Raises:
        ValueError: a number is out of range, the network reads other conditions, or `binarise` does not go with the
            levels.
    """

    def __init__(
        self,
        network: nn.Module,
        image_shape: Sequence[int],
        levels: int = 256,
        binarise: str = "none",
        **settings: Any,
    ) -> None:
        super().__init__(network, image_shape, levels, **settings)
        if binarise not in BINARISATIONS:
            raise ValueError(f"binarise must be one of {', '.join(BINARISATIONS)}, got {binarise}")
        if binarise != "none" and levels != 2:
            raise ValueError(f"binarise must be none with {levels} levels, got {binarise}, which makes 2")
        self.binarise = binarise

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch with images at the nearest levels, or drawn as black and white."""
        if self.binarise == "none":
            return super().observe(batch, noise)
        image = batch["image"]
        white = noise.uniform(*image.shape[1:]) < (image + 1) / 2
        return {**batch, "image": white.to(image.dtype) * 2 - 1}

    @property
    def evaluations(self) -> int:
        """Once for every value; a network that remembers then runs at one place, so that all cost about one."""
        return prod(self.image_shape)

    def log_prob(self, batch: Batch) -> Tensor:
        """Nats (B,) of observed images, in float32 or better."""
        image = batch["image"]
        logits = in_float32(self.logits(image, self.conditioning.told(batch)))
        return -cross_entropy(logits, to_levels(image, self.levels), reduction="none").flatten(1).sum(1)

    def logits(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W)."""
        return self(image, condition)

    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The same logits (B, levels) for one value of `num` images after the other."""
        return self.outputs(num, condition)
