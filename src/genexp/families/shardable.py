"""Which models can have their weights sharded over the ranks of a run, and the layers that are gathered at once."""

from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch import nn

from genexp.families.recomputing import innermost_entries
from genexp.families.updates import EXACT_TOGETHER
from genexp.flows.transform import Transform

if TYPE_CHECKING:
    from genexp.families.base import Family

KEY = "trainer.strategy"
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")
"""What a run can be trained in; gradients of 16-mixed are scaled by each rank for itself."""


def require_shardable(model: "Family", precision: str) -> None:
    """Refuse a model whose training reads or changes weights outside of the layers that are gathered as they are used.

    Args:
        model: The family, before it is sharded.
        precision: The trainer's; `auto` is settled later, to one that is allowed.

    Raises:
        ValueError: networks take turns, weights are compiled or in another order of memory, an optimiser looks at more
            than one weight at a time, gradients are scaled, or there is no layer to be sharded.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)} with {KEY}=fsdp, got {precision}")
    if len(model.updates) > 1:
        turns = f"{type(model).__name__}, whose networks take turns ({', '.join(model.updates)})"
        raise ValueError(f"{KEY} must be ddp for {turns}, got fsdp")
    for switch, on in {"compile": model.compile_networks, "channels_last": model.channels_last}.items():
        if on:
            raise ValueError(f"training.{switch} must be false with {KEY}=fsdp, got true")
    for update in model.updates.values():
        _require_optimizer(update.optimizer([nn.Parameter(torch.zeros(1))]))
    if not layers_of(model):
        raise ValueError(f"{KEY} must be ddp for {type(model).__name__}, which has no layers to shard, got fsdp")


def _require_optimizer(optimizer: torch.optim.Optimizer) -> None:
    if type(optimizer) not in EXACT_TOGETHER:
        known, name = ", ".join(each.__name__ for each in EXACT_TOGETHER), type(optimizer).__name__
        raise ValueError(f"{KEY} must be ddp with an optimizer other than {known}, got fsdp with {name}")
    for way in ("fused", "foreach"):
        if optimizer.param_groups[0].get(way):
            raise ValueError(f"{KEY} must be ddp with {way}=true of the optimizer, got fsdp")


def layers_of(model: "Family") -> list[nn.Module]:
    """What is gathered at once: the innermost blocks of a model's networks, and outside of these PyTorch's layers.

    Only what learns in part, and what shares no parameter with another; transforms of flows set their weights from the
    first batch, whole.
    """
    times = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    found: list[nn.Module] = []
    inside = {id(each) for part in model.modules() if isinstance(part, Transform) for each in part.modules()}
    blocks = [each for each in innermost_entries(model) if _is_called(each)]
    leaves = [each for each in model.modules() if type(each).__module__.startswith("torch.nn.modules")]
    for layer in [*blocks, *(each for each in leaves if any(True for _ in each.parameters(recurse=False)))]:
        weights = list(layer.parameters())
        alone = all(times[id(each)] == 1 for each in weights)
        if id(layer) not in inside and alone and any(each.requires_grad for each in weights):
            found.append(layer)
            inside |= {id(each) for each in layer.modules()}
    return found


def _is_called(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward
