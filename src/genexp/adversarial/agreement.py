"""Numbers that all processes agree on, with gradients that reach those of every process."""

import torch.distributed.nn
from torch import Tensor, distributed


def over_ranks(value: Tensor) -> Tensor:
    """The mean over processes of a tensor that each has, of one shape, differentiable in that of every process."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return value
    return torch.distributed.nn.all_reduce(value) / distributed.get_world_size()
