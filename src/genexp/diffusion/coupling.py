"""Which noise of a batch belongs to which of its images."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from genexp.tensors import in_double


class Coupling(Protocol):
    """Deals the noise of a batch to its images; every row of it is used once."""

    def __call__(self, image: Tensor, noise: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        """The rows of `noise` (B, ...) in the order of the images (B, ...).

        Args:
            image: Clean images.
            noise: As many, standard normal.
            told: What a network is told of them beside the image, tensors (B, ...) by name.
        """
        ...


class Independent(Coupling):
    """As it was drawn: noise that knows nothing of the image.

    Reference: Lipman et al., "Flow Matching for Generative Modeling" (2023).
    """

    def __call__(self, image: Tensor, noise: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        """The noise itself."""
        return noise


class OptimalTransport(Coupling):
    """The assignment with the least sum of squared distances between the images and the noises of a batch.

    It is exact and uses every image and every noise once, so that both keep their distributions in every batch. Paths
    from noise to image cross less, and become straighter. Noise is exchanged only among images of which the network is
    told the same: else it would tell of the condition, which sampling does not know of. A batch of B images costs about
    B^3 operations of the CPU, milliseconds up to 256.

    Reference: Tong et al., "Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport"
    (2024), section 3.2; Pooladian et al., "Multisample Flow Matching" (2023).
    """

    def __call__(self, image: Tensor, noise: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        """The noise by the best assignment within every group of images of which the same is told."""
        from scipy.optimize import linear_sum_assignment

        agreement = in_double(image.flatten(1)) @ in_double(noise.flatten(1)).T
        agreement, order = agreement.cpu(), torch.arange(len(image))
        for rows in _alike(told, len(image)):
            _, chosen = linear_sum_assignment(agreement[rows][:, rows].numpy(), maximize=True)
            order[rows] = rows[torch.from_numpy(chosen)]
        return noise[order.to(noise.device)]


def _alike(told: Mapping[str, Tensor], size: int) -> list[Tensor]:
    """Numbers of the rows that agree in all that is told, group by group."""
    group = torch.zeros(size, dtype=torch.int64)
    for value in told.values():
        own = value.reshape(size, -1).cpu().unique(dim=0, return_inverse=True)[1]
        group = torch.stack([group, own], 1).unique(dim=0, return_inverse=True)[1]
    return [(group == each).nonzero().flatten() for each in group.unique()]
