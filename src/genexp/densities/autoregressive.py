"""Images as a product of softmaxes, of one pixel value after the other."""

from math import prod

from torch import Tensor
from torch.nn.functional import cross_entropy

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch
from genexp.contracts.in_order import Steps
from genexp.densities.in_order import InOrder, in_float32
from genexp.tensors import to_levels


class AutoregressiveCategorical(InOrder):
    """Each factor p(x_i | x_1 .. x_i-1) is a softmax over the `levels` values; see `InOrder` for its arguments.

    The network maps images (B, C, H, W) and a condition to logits (B, levels, C, H, W), each of the values before it
    alone.

    Reference: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016).
    """

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
