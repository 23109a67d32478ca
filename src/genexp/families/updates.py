"""Sets of parameters that are optimised separately."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from genexp.families.rates import RateFactors
from genexp.files.trees import Tree
from genexp.parameters import clip_norm, is_sharded
from genexp.ramps import Constant, Ramp

EXACT_TOGETHER = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD)
"""Optimisers that give the same weights bit for bit whether they step parameters one by one or together (`foreach`)."""
FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
"""Optimisers that step all parameters in one kernel on a CUDA card, unless they are told how to step."""
SMALL = 2**14
"""Numbers a parameter, on average, up to which a CPU steps them faster together; larger ones leave its caches."""


@dataclass
class Update:
    """How one set of parameters is updated.

    Args:
        optimizer: Builds the optimiser from its parameters (a partial of a `torch.optim` class).
        parameters: Builds the list of parameters; called when the optimiser is made.
        learning_rate: Factor on the optimiser's own learning rate, as a function of images seen.
        clip: Largest global gradient norm, or None. Applied to unscaled gradients in every precision.

    Raises:
        ValueError: `clip` is not above 0.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    parameters: Callable[[], list[nn.Parameter]]
    learning_rate: Ramp = Constant()
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be above 0, or null for no clipping, got {self.clip}")

    def made(
        self, parameters: list[nn.Parameter], factors: RateFactors | None = None, device: torch.device | None = None
    ) -> torch.optim.Optimizer:
        """The optimiser of `parameters`, which steps them in the way that is fastest on their device.

        On a CPU small ones together where that changes no bit, on a CUDA card in one kernel where there is one.

        Args:
            parameters: What is stepped.
            factors: Factors of learning rates by layers.
            device: Where they are stepped; None for where they are.
        """
        optimizer = self.optimizer(parameters if factors is None else factors.groups(parameters))
        small = sum(p.numel() for p in parameters) <= SMALL * len(parameters)
        where = {device.type} if device is not None else {p.device.type for p in parameters}
        sharded = any(map(is_sharded, parameters))  # beside whole ones, which no kernel steps together with these
        together = small and type(optimizer) in EXACT_TOGETHER and where == {"cpu"}
        way = "foreach" if together else "fused" if type(optimizer) in FUSED and where == {"cuda"} else None
        for group in optimizer.param_groups:
            if way and not sharded and group["foreach"] is None and group.get("fused") is None:
                group[way] = True
            group["lr"] *= group.get("factor", 1.0)
        if self.clip is not None:  # gradients of fp16 are to be unscaled before their norm is limited, not in the step
            optimizer._step_supports_amp_scaling = False
        return optimizer

    def limit(
        self, optimizer: torch.optim.Optimizer, moving: Callable[[list[nn.Parameter]], list[nn.Parameter]]
    ) -> None:
        """Clip the gradients of what `optimizer` steps, in the order of `parameters`; `moving` leaves some out."""
        if self.clip is not None:
            in_order = len(optimizer.param_groups) == 1
            limit_norm(stepped(optimizer) if in_order else moving(self.parameters()), self.clip)

    def set_rate(self, optimizer: torch.optim.Optimizer, images_seen: int) -> None:
        """Give every group of the optimiser its learning rate of now."""
        ramp = self.learning_rate(images_seen)
        for group in optimizer.param_groups:
            group.setdefault("base_lr", group["lr"])
            group["lr"] = group["base_lr"] * ramp


def with_options(states: list[Tree], updates: dict[str, Update], device: torch.device | None = None) -> list[Tree]:
    """Saved states of optimisers with the options that their updates give now; momenta and counts stay.

    The option `lr` is the rate before its ramp, which a state keeps as `base_lr`. One that is as before leaves the rate
    of the last step in place.

    Args:
        states: One `Optimizer.state_dict()` an update, in order.
        updates: The updates by name.
        device: Where training goes on; None for where the parameters are.
    """
    settled = []
    for state, update in zip(states, updates.values(), strict=True):
        fresh = update.made(update.parameters()[:1], device=device).param_groups[0]
        options = {key: value for key, value in fresh.items() if key not in ("params", "lr")}
        groups = []
        for group in state["param_groups"]:
            base, now = group.get("base_lr", group["lr"]), fresh["lr"] * group.get("factor", 1.0)
            rate = group["lr"] if base == now else now
            groups.append({**group, **options, "lr": rate, "base_lr": now})
        settled.append({**state, "param_groups": groups})
    return settled


@torch.no_grad()
def limit_norm(parameters: list[nn.Parameter], largest: float) -> None:
    """`nn.utils.clip_grad_norm_` to the same bit; gradients within the limit, which that multiplies by 1, are left.

    On a CPU they are looked at for that; a card is not waited for.
    """
    gradients = [each.grad for each in parameters if each.grad is not None]
    kinds = {(each.device, each.dtype, type(each)) for each in gradients}
    if len(kinds) != 1 or (kind := kinds.pop())[0].type not in ("cpu", "cuda") or kind[2] is not torch.Tensor:
        clip_norm(parameters, largest)
        return
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    if norm.device.type != "cpu" or factor.item() != 1:
        torch._foreach_mul_(gradients, factor)


def as_list(value: object) -> list[Any]:
    """A list as it is, anything else as the one entry of a list."""
    return value if isinstance(value, list) else [value]


def stepped(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """The parameters that an optimiser steps, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def owner_of(module: nn.Module, name: str, updates: dict[str, Update]) -> str:
    """The update that the parameters of a module belong to.

    Raises:
        ValueError: they belong to none.
    """
    parameter = next(module.parameters())
    for owner, update in updates.items():
        if any(parameter is own for own in update.parameters()):
            return owner
    raise ValueError(f"module must belong to a registered update, got {name!r}")


@contextmanager
def gradients_only_to(name: str, updates: dict[str, Update]) -> Iterator[None]:
    """Within, gradients flow to the parameters of the update `name` alone; those frozen before stay frozen."""
    others = [p for other, update in updates.items() if other != name for p in update.parameters()]
    frozen = [p for p in others if p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
