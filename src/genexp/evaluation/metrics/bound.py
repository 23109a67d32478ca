"""Where the bits of a diffusion model's variational bound go."""

import math
from collections.abc import Iterable
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.evaluation.latent_models import Observing
from genexp.evaluation.metrics.base import Better, Value
from genexp.evaluation.over_model import OfLevels, mean_over_images, over_images

QUARTERS = 4


@runtime_checkable
class BoundedDensity(Observing, Protocol):
    """A density whose log-probability is bounded by a sum over the steps of a diffusion process."""

    def bound_terms(self, batch: Batch) -> Tensor:
        """Nats (B, T + 1) of an observed batch: of the step to the data, the steps t = 2 .. T, and the start."""
        ...


class BoundTerms(OfLevels):
    """The bound on -log2 p(x), in bits of one value of an image, and its parts, which add up to it.

    `bound_data` is the step to the data, `bound_quarter1` to `bound_quarter4` are the steps before it, a quarter of the
    times each from the least noise on, `bound_start` is what pure noise at the last time does not yet cost. Values over
    other levels, and real values, have different protocols.

    Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.3, figure 2.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
    """

    measured = BoundedDensity
    values: ClassVar[dict[str, Better]] = {
        "bound": "lower",
        "bound_data": "lower",
        **{f"bound_quarter{quarter + 1}": "lower" for quarter in range(QUARTERS)},
        "bound_start": "lower",
    }

    def subject(self, model: BoundedDensity) -> str:
        """What p is a distribution over."""
        return self.over(model)

    @torch.no_grad()
    def compute(self, model: BoundedDensity, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The bound and its parts, with the interval of other held-out images."""
        nats, group, dimensions = over_images(
            batches, seed, lambda batch, noise: _parts(model.bound_terms(model.observe(batch, noise)).double().cpu())
        )
        bits = nats / (dimensions * math.log(2))
        return {name: mean_over_images(each, group, "bits") for name, each in zip(self.values, bits.T, strict=True)}


def _parts(terms: Tensor) -> Tensor:
    """(N, T + 1) terms as (N, 2 + QUARTERS + 1): all of them, the first, the quarters between, the last."""
    steps = terms[:, 1:-1].tensor_split(QUARTERS, dim=1)
    return torch.stack([terms.sum(1), terms[:, 0], *(each.sum(1) for each in steps), terms[:, -1]], 1)
