"""How likely held-out data are under a model, in nats of an image and in bits of a pixel value."""

import math
from collections.abc import Iterable
from typing import ClassVar

import torch

from genexp.contracts import Batch, Density
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import OfDensity, mean_over_images, over_images


class LogLikelihood(OfDensity):
    """`nll` = -log p(x) in nats, averaged over images, and `bits_per_dim` = nll / (D log 2) over their D pixel values.

    Bits exist where pixels have levels: then p is a probability, and a uniform guess among L levels costs log2 L bits.
    Of a model whose log p is only bounded from below both are bounds from above; exact values and bounds, and values
    over other levels, have different protocols. Traps: a density over real values may be any number of nats, and grows
    without bound on data that lie on few values; likelihood says little of how samples look.

    Reference: Theis, van den Oord and Bethge, "A note on the evaluation of generative models" (2016).

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    values: ClassVar[dict[str, Better]] = {"nll": "lower", "bits_per_dim": "lower"}

    def subject(self, model: Density) -> str:
        """What p is a distribution over, and whether its values are exact."""
        return f"{self.over(model)}, {'exact' if model.exact else 'bound'}"

    @torch.no_grad()
    def compute(self, model: Density, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """Both values, with the interval of other held-out images."""
        nats, group, dimensions = over_images(
            batches, seed, lambda batch, noise: -model.log_prob(model.observe(batch, noise)).double()
        )
        values = {"nll": mean_over_images(nats, group, "nats")}
        if model.levels is not None:
            values["bits_per_dim"] = mean_over_images(nats / (dimensions * math.log(2)), group, "bits")
        return values
