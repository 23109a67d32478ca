"""Leaving out one group of samples at a time, for metrics whose parts are sums or means over samples."""

from collections.abc import Callable, Sequence
from statistics import fmean

import torch
from torch import Tensor

from genexp.evaluation.dealing import members_of
from genexp.evaluation.uncertainty import pseudo_values


def groups_to_leave_out(group: Tensor, keep: int = 1) -> Sequence[Tensor]:
    """Positions of the members of every group, or nothing where the jackknife makes no sense.

    Args:
        group: The group (N,) of every sample.
        keep: Samples that must remain without any one group.

    Returns:
        One tensor of positions a group; empty when a group has no sample or too few samples would remain.
    """
    members = members_of(group)
    sizes = sizes_of(members)
    return members if min(sizes) > 0 and len(group) - max(sizes) >= keep else ()


def draws_of_mean(values: Tensor, group: Tensor) -> tuple[float, ...]:
    """Pseudo-values of the mean of one value (N,) a sample, with the group (N,) of every sample."""
    members = groups_to_leave_out(group)
    total = values.sum(dtype=torch.float64)
    without = [float((total - values[own].sum(dtype=torch.float64)) / (len(values) - len(own))) for own in members]
    return tuple(pseudo_values(float(total / len(values)), without, sizes_of(members))) if members else ()


def draws_of_sums(
    whole: Tensor, groups: Tensor, value: Callable[[Tensor], float], sizes: Sequence[int]
) -> tuple[float, ...]:
    """Pseudo-values of a function of sums over samples.

    Args:
        whole: The sums (...) over all samples.
        groups: The sums (G, ...) over every group.
        value: The value from sums.
        sizes: Number of samples in every group.
    """
    return tuple(pseudo_values(value(whole), [value(whole - group) for group in groups], sizes))


def centred_draws(whole: float, without: Sequence[float], sizes: Sequence[int]) -> tuple[float, ...]:
    """Pseudo-values moved to the mean `whole`, for values whose dependence on the number of samples is no bias.

    A recall or coverage is defined for a number of images, and is not linear in its inverse: pseudo-values as they are
    would estimate it for infinitely many, and badly. Moved, they give the standard error at this number.
    """
    draws = pseudo_values(whole, without, sizes)
    shift = whole - fmean(draws)
    return tuple(draw + shift for draw in draws)


def sizes_of(members: Sequence[Tensor]) -> list[int]:
    """Number of samples in every group."""
    return [len(positions) for positions in members]
