"""Layers by which a discriminator sees how varied the samples of a batch are, and so that a generator repeats itself.

A batch is cut into groups of neighbours, and every sample is told something of its group. Neighbours, so that cutting a
batch into micro-batches of whole groups changes nothing; in training a batch must hold whole groups. In evaluation an
unfinished last group takes the first samples.

The score of a sample then depends on the others of its group, and a penalty on the gradient at a sample is one on that
of all scores of its group, as in the networks that these layers come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from genexp.networks.packing import packed
from genexp.tensors import expand_to


class SeesBatch(nn.Module):
    """Features (B, C, ...) of samples and, behind their channels, what `of_groups` says of each in its group.

    Args:
        group_size: Samples a group, at least 2.
        added: Channels that are added.

    Raises:
        ValueError: `group_size` is below 2.
    """

    def __init__(self, group_size: int, added: int) -> None:
        super().__init__()
        require_group(group_size)
        self.group_size, self.added = group_size, added

    def of_groups(self, features: Tensor) -> Tensor:
        """Features (N, G, C, ...) of N groups to what each of their samples is told, (N, G, added)."""
        raise TypeError(f"{type(self).__name__} must define of_groups")

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, ...) to (B, C + added, ...), the same in every place.

        Raises:
            ValueError: in training, `group_size` does not divide B.
        """
        count = len(features)
        if self.training and count % self.group_size:
            raise ValueError(f"group_size must divide the {count} samples of a micro-batch, got {self.group_size}")
        grouped = packed(features, self.group_size).unflatten(1, (self.group_size, -1))
        told = self.of_groups(grouped).flatten(0, 1)[:count]
        planes = expand_to(told, features).expand(-1, -1, *features.shape[2:])
        return torch.cat([features, planes.to(features.dtype)], 1)


class StandardDeviations(SeesBatch):
    """One channel: the standard deviation of every feature over the group, averaged over features and places.

    s = mean_c sqrt(1/G sum_i (f_ic - mean_j f_jc)^2 + 1e-8).

    Reference: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (2018),
    section 3; over groups as in Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020).

    Args:
        group_size: Samples a group, G.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__(group_size, 1)

    def of_groups(self, features: Tensor) -> Tensor:
        """Features (N, G, C, ...) to (N, G, 1)."""
        spread = (features.float().var(1, correction=0) + 1e-8).sqrt()
        return spread.flatten(1).mean(1)[:, None, None].expand(-1, features.shape[1], 1)


class Closeness(SeesBatch):
    """How close a sample is to the others of its group, in `kernels` learned projections to `size` numbers.

    o_ik = sum_(j != i) exp(-||M_ik - M_jk||_1), M_ik = f_i T_k.

    Reference: Salimans et al., "Improved Techniques for Training GANs" (2016), section 3.2, where a group is the batch
    and the sum has one term more, the 1 of a sample with itself.

    Args:
        features: Features of a sample, over all places, F.
        group_size: Samples a group.
        kernels: Projections.
        size: Numbers of a projection.
    """

    def __init__(self, features: int, group_size: int, kernels: int, size: int) -> None:
        super().__init__(group_size, kernels)
        self.projection = nn.Parameter(torch.empty(features, kernels, size))
        # Features of unit variance are then about 1 apart, where exp(-d) has both a value and a slope.
        nn.init.normal_(self.projection, 0.0, 1 / (size * features**0.5))

    def of_groups(self, features: Tensor) -> Tensor:
        """Features (N, G, C, ...) to (N, G, kernels)."""
        projected = torch.einsum("ngf,fks->ngks", features.flatten(2), self.projection)
        distance = (projected[:, :, None] - projected[:, None]).float().abs().sum(-1)
        return (-distance).exp().sum(2) - 1


@dataclass(frozen=True)
class MinibatchStd:
    """Tells a discriminator the standard deviation of the features in every group, see `StandardDeviations`.

    Args:
        group_size: Samples a group, at least 2.

    Raises:
        ValueError: `group_size` is below 2.
    """

    group_size: int = 4

    def __post_init__(self) -> None:
        require_group(self.group_size)

    def layer(self, shape: Sequence[int]) -> SeesBatch:
        """The layer for features of `shape` (C, ...) each."""
        return StandardDeviations(self.group_size)


@dataclass(frozen=True)
class MinibatchDiscrimination:
    """Tells a discriminator how close a sample's features are to those of its group, see `Closeness`.

    Args:
        group_size: Samples a group, at least 2.
        kernels: Learned projections, each of which adds a channel.
        size: Numbers of a projection.

    Raises:
        ValueError: `group_size` is below 2, or `kernels` or `size` below 1.
    """

    group_size: int = 16
    kernels: int = 32
    size: int = 4

    def __post_init__(self) -> None:
        require_group(self.group_size)
        for name, value in (("kernels", self.kernels), ("size", self.size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def layer(self, shape: Sequence[int]) -> SeesBatch:
        """The layer for features of `shape` (C, ...) each."""
        return Closeness(prod(shape), self.group_size, self.kernels, self.size)


Diversity = MinibatchStd | MinibatchDiscrimination
"""How a discriminator sees its batch."""


def require_group(group_size: int) -> None:
    """Raise ValueError unless a group has at least 2 samples."""
    if group_size < 2:
        raise ValueError(f"group_size must be at least 2 samples, got {group_size}")
