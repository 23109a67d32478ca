"""Parameters of modules, whole, or sharded over the ranks of a run as `torch.distributed.fsdp.fully_shard` leaves them.

What is asked for whole is gathered from all ranks, so all of them must ask for it, in the same order.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from genexp.files.trees import Tree


class Towards:
    """Draws an average of a module's weights towards them again and again; its parameters stay the same objects.

    The average is sharded as the weights are, or whole.

    Args:
        kept: The average, by names as those of the module.
        module: The module.
        buffers: Whether the average has buffers, too, which are copied.
    """

    def __init__(self, kept: Mapping[str, Tensor], module: nn.Module, buffers: bool = True) -> None:
        parameters, held = dict(module.named_parameters()), dict(module.named_buffers()) if buffers else {}
        self._kept, self._weights = [kept[name] for name in parameters], list(parameters.values())
        self._sharded = any(map(is_sharded, self._weights))
        places = [(name, *name.rpartition(".")[::2]) for name in held]
        self._buffers = [(kept[name], module.get_submodule(owner)._buffers, key) for name, owner, key in places]

    @torch.no_grad()
    def draw(self, share: float) -> None:
        """In place: kept <- (1 - share) kept + share weights, share in [0, 1]."""
        kept, weights = self._kept, self._weights
        if self._sharded:
            pairs = zip(kept, weights, strict=True)
            weights = local(
                [new if is_sharded(old) or not is_sharded(new) else new.full_tensor() for old, new in pairs]
            )
            kept = local(kept)
        torch._foreach_lerp_(kept, weights, share)
        for held, buffers, key in self._buffers:
            held.copy_(buffers[key])


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module by their state-dict names."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a `DTensor`, of which this process holds a part; found without importing that class."""
    return hasattr(tensor, "full_tensor")


def whole(value: object) -> object:
    """Plain containers in which every sharded tensor has become the whole one, on the CPU; all else as it is."""
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(each) for each in value)
    return value.detach().full_tensor().cpu() if isinstance(value, Tensor) and is_sharded(value) else value


def like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor on the device of `pattern`, and sharded as that is; this rank keeps its part."""
    if not is_sharded(pattern):
        return tensor.to(pattern.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(pattern.device), pattern.device_mesh, pattern.placements, src_data_rank=None)


def local(tensors: Sequence[Tensor]) -> list[Tensor]:
    """What this process holds of every tensor: its own part, in the same memory, or all of it."""
    return [each.detach().to_local() if is_sharded(each) else each for each in tensors]


def exchange(one: Tensor, other: Tensor) -> None:
    """Let two tensors of one shape have each other's values; sharded ones stay in the memory that they have."""
    if not is_sharded(one):
        one.data, other.data = other.data, one.data
        return
    first, second = local([one, other])
    kept = first.clone()
    first.copy_(second)
    second.copy_(kept)


def clip_norm(parameters: Sequence[nn.Parameter], largest: float) -> None:
    """Scale gradients so that their norm over all parameters, and all parts of them, is at most `largest`."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    sharded = [each for each in gradients if is_sharded(each)]
    if not sharded:
        nn.utils.clip_grad_norm_(parameters, largest)
        return
    norms = [nn.utils.get_total_norm(sharded).full_tensor()]
    norms += [nn.utils.get_total_norm([each for each in gradients if not is_sharded(each)])]
    scale = (largest / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6)).clamp(max=1.0)
    for each in local(gradients):
        each.mul_(scale.to(each.device))


def state_of(optimizer: torch.optim.Optimizer) -> Tree:
    """What `optimizer.state_dict()` gives where its parameters are whole."""
    return whole(optimizer.state_dict())


def give_state(optimizer: torch.optim.Optimizer, state: Tree) -> None:
    """Load what `state_of` gave into an optimiser whose parameters may be sharded."""
    stepped = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    kept = dict(state["state"])
    for number, parameter in zip(numbers, stepped, strict=True):
        if is_sharded(parameter) and number in kept:
            own = kept[number].items()
            kept[number] = {key: _as_shaped(value, parameter) for key, value in own}
    optimizer.load_state_dict({**state, "state": kept})


def _as_shaped(value: object, parameter: nn.Parameter) -> object:
    of_weights = isinstance(value, Tensor) and value.shape == parameter.shape
    return like(value, parameter) if of_weights else value
