"""Buffers that networks write while they compute, and how the player who waits keeps its own unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from genexp.networks.batch_sight import SeesBatch
from genexp.networks.packing import InPacks


@contextmanager
def frozen_statistics(*networks: nn.Module) -> Iterator[None]:
    """Let networks compute as in training without writing their buffers.

    Batch norm still normalises with the statistics of the batch but does not add them to its running averages;
    spectral norm divides by its current estimate without another power iteration. What moves running statistics in
    training, torch's norms and our own, does so while its attribute `track_running_stats` is true.
    """
    modules = [module for network in networks for module in network.modules()]
    norms = [each for each in modules if vars(each).get("track_running_stats")]  # every step: a Protocol takes longer
    weights = [module for module in modules if isinstance(module, ParametrizationList) and module.training]
    for module in norms:
        module.track_running_stats = False
    for module in weights:
        module.eval()
    try:
        yield
    finally:
        for module in norms:
            module.track_running_stats = True
        for module in weights:
            module.train()


def coupling(network: nn.Module) -> str | None:
    """What makes the output for one sample depend on the others of its batch.

    Returns:
        `batch norm`, `packs`, `groups` (see `genexp.networks.batch_sight`), or None.
    """
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return "batch norm"
    if any(isinstance(module, InPacks) and module.pack > 1 for module in network.modules()):
        return "packs"
    return "groups" if any(isinstance(module, SeesBatch) for module in network.modules()) else None
