"""A model that begins with the weights of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.adversarial.parts import Observes
from genexp.adversarial.regularisers import Penalties
from genexp.families.channels import adapted
from genexp.families.layers import below, in_words, owner, require_layers, with_those_above

KEY = "initial"
_MOST = 12
"""Tensors that a line tells the shapes of."""


@runtime_checkable
class BeginsAsCopy(Protocol):
    """A part of a network that begins as a copy of others, once these have the weights that they begin with."""

    def begin_as_copy(self) -> None: ...


@dataclass(frozen=True)
class Transferred:
    """What a model took over of another, by the names of parameters and buffers.

    Attributes:
        taken: Name and shape agree.
        reshaped: They were made for pictures of another number of channels, see `genexp.families.channels`.
        reset: They begin anew because that was asked for.
        beyond: They lie outside of what was asked for.
        anew: Buffers that the other model has not, and those that follow training, such as running means of a penalty.
        unused: The other model has them, and this one has not.
    """

    taken: list[str]
    reshaped: list[str]
    reset: list[str]
    beyond: list[str]
    anew: list[str]
    unused: list[str]

    def note(self) -> str:
        """All of it in a line."""
        count = sum(map(len, (self.taken, self.reshaped, self.reset, self.beyond, self.anew)))
        rest = {
            "reshaped for other channels": self.reshaped,
            "reset": self.reset,
            "left as they are": self.beyond,
            "anew, of this training": self.anew,
            "of the run, not used": self.unused,
        }
        told = [f"{words}: {in_words(names)}" for words, names in rest.items() if names]
        return "; ".join([f"{len(self.taken)} of {count} tensors taken", *told])


def transferred(
    model: nn.Module,
    given: Mapping[str, Tensor],
    only: Sequence[str] | None = None,
    reset: Sequence[str] = (),
    adapt_channels: bool = False,
) -> Transferred:
    """Give a model the weights of another, where names and shapes agree.

    Args:
        model: The model that begins, as its configuration makes it.
        given: The state dict of the other one.
        only: Layers that take over; None for all. See `genexp.families.layers.below`.
        reset: Layers that begin anew, such as those of the classes where their number is another.
        adapt_channels: Whether convolutions of grey pictures begin those of colours, and the other way.

    Raises:
        ValueError: the model has no such layer; a parameter has another name or shape in `given` and is not reset; or
            nothing is left to take.
    """
    require_layers(model, only or (), f"{KEY}.only")
    require_layers(model, reset, f"{KEY}.reset")
    own, parameters = model.state_dict(), {name for name, _ in model.named_parameters()}
    beyond = [name for name in own if only is not None and not below(name, only)]
    again = [name for name in own if name not in beyond and below(name, reset)]
    asked = [name for name in own if name not in {*beyond, *again}]
    follows = tuple(f"{name}." for name, part in model.named_modules() if isinstance(part, Observes))
    anew = [n for n in asked if n not in parameters and (n not in given or n.startswith(follows))]
    wanted = [name for name in asked if name not in anew]
    shaped = _reshaped(model, own, given, wanted)
    reshaped = [name for name in wanted if adapt_channels and name in shaped]
    taken = [name for name in wanted if name not in reshaped]
    _require_alike(own, given, taken, [name for name in shaped if name not in reshaped])
    with torch.no_grad():
        for name in wanted:
            own[name].copy_(shaped[name] if name in reshaped else given[name])
    filled = {each for name in wanted for each in with_those_above(name)}
    for name, module in model.named_modules():
        if name in filled:
            continue
        if isinstance(module, Penalties):
            module.follow()
        elif isinstance(module, BeginsAsCopy):
            module.begin_as_copy()
    return Transferred(taken, reshaped, again, beyond, anew, [name for name in given if name not in own])


def _reshaped(
    model: nn.Module, own: Mapping[str, Tensor], given: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """Tensors of another shape in `given` that are those of pictures of another number of channels, by name."""
    other = [name for name in names if name in given and given[name].shape != own[name].shape]
    found = {n: adapted(model.get_submodule(n.rpartition(".")[0]), given[n], tuple(own[n].shape)) for n in other}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _require_alike(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], names: Sequence[str], adaptable: Sequence[str]
) -> None:
    """Refuse tensors that the other model has otherwise or not at all, and a model that takes nothing."""
    other = [name for name in names if name not in given or given[name].shape != own[name].shape]
    if len(other) == len(names):
        held = ", ".join(sorted({name.split(".")[0] for name in given}))
        raise ValueError(f"{KEY} must have layers of this model, got one of {held}, of which none is alike")
    if not other:
        return
    told = [
        f"{name} {tuple(own[name].shape)} here and {tuple(given[name].shape) if name in given else 'nothing'} there"
        for name in other
    ]
    more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    layers = ",".join(dict.fromkeys(owner(name) or name for name in other))
    cure = f"; {KEY}.adapt_channels=true makes those of {in_words(adaptable)} fit" if adaptable else ""
    raise ValueError(
        f"{KEY}.reset must name the layers that are other than there: {'; '.join(told[:_MOST])}{more}; "
        f"{KEY}.reset=[{layers}] lets them begin anew{cure}"
    )
