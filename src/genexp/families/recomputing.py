"""Blocks whose inner results are not kept for the backward pass but computed again there: less memory, more time.

Reference: Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils.checkpoint import checkpoint

COUNTING = (nn.modules.batchnorm._BatchNorm, ParametrizationList)
"""Layers that change by being used: batch norm, and weights by spectral norm."""


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model: the innermost entries of its lists of layers, where these have weights.

    Raises:
        ValueError: there are none, or a block changes by being used, as with batch or spectral norm.
    """
    blocks = [each for each in innermost_entries(model) if any(weight.requires_grad for weight in each.parameters())]
    if not blocks:
        raise ValueError("recompute must be false for networks without a list of blocks, got true")
    counting = [type(each).__name__ for each in blocks if any(isinstance(part, COUNTING) for part in each.modules())]
    if counting:
        raise ValueError(f"recompute must be false with batch or spectral norm in a block ({counting[0]}), got true")
    return blocks


def innermost_entries(model: nn.Module) -> list[nn.Module]:
    """The entries of a model's lists of layers that hold no list themselves."""
    entries = [each for layers in model.modules() if _is_list(layers) for each in layers]
    return [each for each in entries if not any(map(_is_list, each.modules()))]


def require_recomputable(model: nn.Module, compiled: bool) -> None:
    """Raise ValueError where no block of a model can be computed again, or its networks are to be compiled."""
    if compiled:
        raise ValueError("recompute must be false with compile=true, which chooses by itself what to keep, got true")
    blocks_of(model)


def recompute(model: nn.Module) -> None:
    """Have the blocks of a model keep their inputs alone while it trains; gradients stay the same, bit for bit.

    What is drawn in a block, as by dropout, is drawn again alike.

    Raises:
        ValueError: see `blocks_of`.
    """
    for block in blocks_of(model):
        block.forward = partial(_kept_small, block, block.forward)


def _kept_small(block: nn.Module, forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*given, **named)
    return checkpoint(forward, *given, use_reentrant=False, **named)


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList) and not isinstance(module, ParametrizationList)
